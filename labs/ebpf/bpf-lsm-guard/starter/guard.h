/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What you write in loader.c, and what main.c lends you for it. */
#ifndef GUARD_H
#define GUARD_H

#include <stdbool.h>

#include "shared.h"

#define RULES 1024

/* Addresses whose first `bits` bits are these. */
struct rule {
	bool six; /* IPv6, else IPv4 */
	unsigned int bits;
	unsigned char address[16];
};

struct policy {
	bool enforce; /* else what is forbidden is reported, and goes on */
	unsigned int count;
	struct rule rules[RULES];
};

/*
 * Guard a cgroup, and all below it, from now on. 0, or a negative errno. When this process has gone, however it
 * ended, nothing is guarded any more.
 */
int guard_start(const char *cgroup, const struct policy *policy);

/* Another policy. What both of them forbid is forbidden all the time, what neither does never is. */
int guard_policy(const struct policy *policy);

/* Wait for reports, for `ms` at most, and report() all that are there. Negative when that is not possible. */
int guard_poll(int ms);

/* Given, in main.c: writes one report. denied: whether it was refused. */
void report(enum act act, int pid, bool denied, const char *comm);

#endif
