// SPDX-License-Identifier: GPL-3.0-or-later
/* What a thread of the service can do by itself, and how it accounts for it. Complete. */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "service.h"

#define LARGEST (1 << 20)
#define MANY 16 /* blocks that are taken at once */

static char page[LARGEST];

/* What a thread waits at. */
static __thread int ends[2], events;

/* wait: calls that end when their time is over. As calls, since the C library takes one for another. */
static void wait_by(const char *call, long us)
{
	struct timespec time = { .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000 };
	struct timeval short_time = { .tv_sec = us / 1000000, .tv_usec = us % 1000000 };
	struct epoll_event event;
	sigset_t nobody;
	char byte;

	if (!strcmp(call, "poll")) {
		syscall(SYS_poll, NULL, 0, us / 1000);
	} else if (!strcmp(call, "ppoll")) {
		syscall(SYS_ppoll, NULL, 0, &time, NULL, 0);
	} else if (!strcmp(call, "select")) {
		syscall(SYS_select, 0, NULL, NULL, NULL, &short_time);
	} else if (!strcmp(call, "pselect6")) {
		syscall(SYS_pselect6, 0, NULL, NULL, NULL, &time, NULL);
	} else if (!strcmp(call, "rt_sigtimedwait")) {
		sigemptyset(&nobody);
		sigaddset(&nobody, SIGUSR2);
		syscall(SYS_rt_sigtimedwait, &nobody, NULL, &time, 8);
	} else if (!strcmp(call, "epoll_wait")) {
		syscall(SYS_epoll_wait, events, &event, 1, us / 1000);
	} else if (!strcmp(call, "recvfrom")) {
		setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &short_time, sizeof(short_time));
		syscall(SYS_recvfrom, ends[0], &byte, 1, 0, NULL, NULL);
	} else {
		errx(1, "wait %s?", call);
	}
}

static void wait_times(const struct step *step)
{
	double took = 0;

	for (int n = 0; n < step->times; n++) {
		double begin = now();

		wait_by(step->what, step->size);
		took += now() - begin;
	}
	account("waited %s %ld %.0f\n", step->what, step->times, took);
}

/* write: to somebody who takes all of it, a part, or nothing. */
static void write_times(const struct step *step)
{
	const struct iovec parts[] = { { page, step->size / 3 }, { page, step->size - step->size / 3 } };
	bool none = !strcmp(step->what, "full"), some = !strcmp(step->what, "pipe");
	long written = 0;
	int ends[2] = { -1, -1 };

	if (some && pipe2(ends, O_NONBLOCK | O_CLOEXEC))
		err(1, "pipe");
	if (!some)
		ends[1] = open(none ? "/dev/full" : "/dev/null", O_WRONLY | O_CLOEXEC);
	for (int n = 0; n < step->times; n++) {
		ssize_t done;

		if (!strcmp(step->what, "parts"))
			done = writev(ends[1], parts, 2);
		else if (!strcmp(step->what, "place"))
			done = pwrite(ends[1], page, step->size, 0);
		else
			done = write(ends[1], page, step->size);
		written += done > 0 ? done : 0;
		while (some && read(ends[0], page, sizeof(page)) > 0)
			;
	}
	close(ends[0]);
	close(ends[1]);
	account("wrote %s %ld\n", step->process, written);
}

/* open, openat, openat2, and miss: there is no such file. */
static void open_times(const struct step *step)
{
	struct open_how how = { .flags = O_RDONLY };
	/* So that the name is in memory when the call begins. */
	char path[sizeof(step->what)];
	long opened = 0;

	strcpy(path, step->what);
	for (int n = 0; n < step->times; n++) {
		long fd;

		if (!strcmp(step->verb, "open"))
			fd = syscall(SYS_open, path, O_RDONLY);
		else if (!strcmp(step->verb, "openat2"))
			fd = syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
		else
			fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY);
		if (fd >= 0) {
			opened++;
			close(fd);
		}
	}
	account("opened %s %ld\n", path, opened);
}

/* take, many: the service's own allocator has two ways in. A site is who calls it. */
__attribute__((noipa)) void *take(size_t size)
{
	return malloc(size);
}

__attribute__((noipa)) void *take_many(size_t number, size_t size)
{
	return calloc(number, size);
}

static void use(void *block)
{
	*(volatile char *)block = 1;
	free(block);
}

#define SITE(name) \
	static __attribute__((noipa)) void name(size_t number, size_t size) \
	{ \
		use(number ? take_many(number, size) : take(size)); \
	}
SITE(carve)
SITE(glaze)
SITE(knit)
SITE(plough)
SITE(solder)
SITE(thresh)

static const struct {
	const char *name;
	void (*take)(size_t number, size_t size);
} sites[] = { { "carve", carve }, { "glaze", glaze },	{ "knit", knit },
	      { "plough", plough }, { "solder", solder }, { "thresh", thresh } };

static void take_times(const struct step *step)
{
	size_t number = !strcmp(step->verb, "many") ? MANY : 0, site = 0;

	while (strcmp(sites[site].name, step->what))
		if (++site == sizeof(sites) / sizeof(*sites))
			errx(1, "take %s?", step->what);
	for (int n = 0; n < step->times; n++)
		sites[site].take(number, step->size);
	account("took %s %ld\n", step->what, step->times * step->size * (number ?: 1));
}

static const struct {
	const char *verb;
	void (*perform)(const struct step *step);
} verbs[] = {
	{ "wait", wait_times },	 { "write", write_times },    { "open", open_times },
	{ "openat", open_times }, { "openat2", open_times },   { "miss", open_times },
	{ "take", take_times },	 { "many", take_times },      { "late", face_rival },
	{ "pushed", face_rival }, { "children", have_children }, { "threads", have_threads },
};

void prepare(const struct step *step)
{
	sigset_t nobody;

	/* A signal that is waited for must not end the process, and that nobody sends ends no wait. */
	sigemptyset(&nobody);
	sigaddset(&nobody, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &nobody, NULL);
	if (!strcmp(step->what, "recvfrom") && socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends))
		err(1, "socketpair");
	if (!strcmp(step->what, "epoll_wait"))
		events = epoll_create1(EPOLL_CLOEXEC);
	if (!strncmp(step->verb, "open", 4))
		close(open(step->what, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	if (!strcmp(step->verb, "late") || !strcmp(step->verb, "pushed"))
		meet_rival();
	else
		keep_away();
}

void clear_up(const struct step *step)
{
	if (!strncmp(step->verb, "open", 4))
		unlink(step->what);
}

void perform(const struct step *step)
{
	size_t n = 0;

	while (strcmp(verbs[n].verb, step->verb))
		if (++n == sizeof(verbs) / sizeof(*verbs))
			errx(1, "%s?", step->verb);
	verbs[n].perform(step);
}
