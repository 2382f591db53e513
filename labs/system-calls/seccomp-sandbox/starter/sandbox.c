// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * sandbox FOLDER PROGRAM [ARGUMENT...]: run a program as nobody under the filter of policy.c.
 *
 * The program and its supervisor are two processes. The supervisor keeps its privilege and
 * opens files below FOLDER on behalf of the program. Exit status: the program's, or 128 + the
 * signal that killed it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "policy.h"

#define NOBODY 65534
#define STACK (256 * 1024)

struct job {
	char **argv;
	int listener;
};

/*
 * Runs while the parent waits (CLONE_VFORK), in its memory (CLONE_VM) and with its table of
 * files (CLONE_FILES): so the listener needs no sending. execve() ends all of this.
 */
static int child(void *argument)
{
	struct job *job = argument;

	if (setgroups(0, NULL) || setgid(NOBODY) || setuid(NOBODY)) {
		perror("sandbox: cannot become nobody (start it as root)");
		_exit(126);
	}
	job->listener = install();
	if (job->listener < 0) {
		perror("sandbox: install");
		_exit(126);
	}
	execv(job->argv[0], job->argv);
	perror(job->argv[0]);
	_exit(127);
}

static void supervise(int listener, int root)
{
	struct pollfd calls = { .fd = listener, .events = POLLIN };

	/* POLLHUP: nobody is left under the filter. */
	while (poll(&calls, 1, -1) > 0 || errno == EINTR) {
		if (calls.revents & POLLIN)
			answer(listener, root);
		else if (calls.revents)
			return;
	}
}

int main(int argc, char **argv)
{
	static char stack[STACK] __attribute__((aligned(16)));
	struct job job = { .argv = argv + 2, .listener = -1 };
	int root, status;
	pid_t pid;

	if (argc < 3) {
		fprintf(stderr, "usage: %s FOLDER PROGRAM [ARGUMENT...]\n", argv[0]);
		return 2;
	}
	root = open(argv[1], O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0) {
		perror(argv[1]);
		return 2;
	}
	pid = clone(child, stack + STACK, CLONE_VM | CLONE_VFORK | CLONE_FILES | SIGCHLD, &job);
	if (pid < 0) {
		perror("sandbox: clone");
		return 2;
	}
	if (job.listener >= 0)
		supervise(job.listener, root);
	if (waitpid(pid, &status, 0) < 0) {
		perror("sandbox: waitpid");
		return 2;
	}
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
