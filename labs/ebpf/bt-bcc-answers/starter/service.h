/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What service.c, with its processes, and their steps in steps.c and crowd.c know of each other. Complete. */
#ifndef SERVICE_H
#define SERVICE_H

/* A line of the plan: a thread of a process does something so many times, with something of that size. */
struct step {
	char process[16], thread[16], verb[16], what[64];
	long size, times;
};

/* What is needed before the day begins. Once in each thread, for each of its steps. */
void prepare(const struct step *step);

/* Remove what was made for it; more than once does no harm. */
void clear_up(const struct step *step);

/* Do it, and account for it. */
void perform(const struct step *step);

/* A line of what this process has done: kept until somebody asks. */
void account(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Steps that take a rival, children or threads. Who meets no rival keeps away from its processor. */
void meet_rival(void);
void keep_away(void);
void face_rival(const struct step *step);
void have_children(const struct step *step);
void have_threads(const struct step *step);

/* Microseconds: on the clock; and those that this thread has waited for a processor, as the kernel says. */
double now(void);
double in_queue(void);
void nap(long us);

#endif
