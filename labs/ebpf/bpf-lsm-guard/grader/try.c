// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * try NAME PLAN: take a name, do what the lines of PLAN say, and print for each one: its number, and 0 or the errno.
 *
 *   connect4|connect6 ADDRESS  a datagram socket
 *   unix DIGITS        a socket whose abstract name is these bytes
 *   again              take the address of a socket away (AF_UNSPEC), after one that is harmless
 *   execute FILE       in a child
 *   map FILE, read FILE  map it, to execute, or only to read
 *   attach, memory, look  a child of one's own: seize it, open its memory, read its environment
 *   traced             let the parent trace a child
 *   signal PID NUMBER
 *   bpf                ask for the first program's number
 *   write FILE         open it to write, and do not
 *   loop ADDRESS MS    connect4 for that time; the result is how often it was not refused
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int outcome(long result)
{
	return result < 0 ? errno : 0;
}

static int datagram(int family, const char *address)
{
	struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons(9) };
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(9) };
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0), error;

	if (family == AF_INET) {
		inet_pton(AF_INET, address, &four.sin_addr);
		error = outcome(connect(fd, (struct sockaddr *)&four, sizeof(four)));
	} else {
		inet_pton(AF_INET6, address, &six.sin6_addr);
		error = outcome(connect(fd, (struct sockaddr *)&six, sizeof(six)));
	}
	close(fd);
	return error;
}

static int other_family(const char *digits)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int there = socket(AF_UNIX, SOCK_DGRAM, 0), fd = socket(AF_UNIX, SOCK_DGRAM, 0), length = 1, error;
	unsigned int byte;

	for (; sscanf(digits, "%2x", &byte) == 1; digits += 2)
		name.sun_path[length++] = byte;
	length += offsetof(struct sockaddr_un, sun_path);
	error = outcome(bind(there, (struct sockaddr *)&name, length));
	if (!error)
		error = outcome(connect(fd, (struct sockaddr *)&name, length));
	close(there);
	close(fd);
	return error;
}

static int no_address(const char *address)
{
	struct sockaddr_in none = { .sin_family = AF_UNSPEC };
	int fd = socket(AF_INET, SOCK_DGRAM, 0), error;

	inet_pton(AF_INET, address, &none.sin_addr);
	error = outcome(connect(fd, (struct sockaddr *)&none, sizeof(none)));
	close(fd);
	return error;
}

/* What a child says by its exit status: an errno. */
static int status_of(pid_t child)
{
	int status;

	if (waitpid(child, &status, 0) < 0)
		return errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

static int execute(const char *file)
{
	pid_t child = fork();

	if (!child) {
		execl(file, file, NULL);
		_exit(errno);
	}
	return status_of(child);
}

static int map(const char *file, int protection)
{
	int fd = open(file, O_RDONLY), error;
	void *there = mmap(NULL, 4096, protection, MAP_PRIVATE, fd, 0);

	error = there == MAP_FAILED ? errno : 0;
	if (!error)
		munmap(there, 4096);
	close(fd);
	return error;
}

static int child_of_mine(const char *how)
{
	pid_t child = fork();
	char path[40];
	int error, fd;

	if (!child) {
		pause();
		_exit(0);
	}
	if (!strcmp(how, "attach")) {
		error = outcome(ptrace(PTRACE_SEIZE, child, 0, 0));
	} else {
		snprintf(path, sizeof(path), "/proc/%d/%s", child, strcmp(how, "look") ? "mem" : "environ");
		fd = open(path, O_RDONLY);
		error = outcome(fd);
		close(fd);
	}
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	return error;
}

static int traced(void)
{
	pid_t child = fork();

	if (!child)
		_exit(outcome(ptrace(PTRACE_TRACEME, 0, 0, 0)));
	return status_of(child);
}

static int loop(const char *address, int ms)
{
	struct timespec now, end;
	int passed = 0;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += ms / 1000;
	do {
		passed += datagram(AF_INET, address) != EPERM;
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec < end.tv_sec || (now.tv_sec == end.tv_sec && now.tv_nsec < end.tv_nsec));
	return passed;
}

static int do_it(const char *word, const char *what, int number)
{
	union bpf_attr attr = { 0 };
	int fd, error;

	if (!strcmp(word, "connect4"))
		return datagram(AF_INET, what);
	if (!strcmp(word, "connect6"))
		return datagram(AF_INET6, what);
	if (!strcmp(word, "unix"))
		return other_family(what);
	if (!strcmp(word, "again"))
		return no_address(what);
	if (!strcmp(word, "execute"))
		return execute(what);
	if (!strcmp(word, "map") || !strcmp(word, "read"))
		return map(what, *word == 'm' ? PROT_READ | PROT_EXEC : PROT_READ);
	if (!strcmp(word, "traced"))
		return traced();
	if (!strcmp(word, "signal"))
		return outcome(kill(atoi(what), number));
	if (!strcmp(word, "loop"))
		return loop(what, number);
	if (!strcmp(word, "bpf")) {
		error = outcome(syscall(SYS_bpf, BPF_MAP_GET_NEXT_ID, &attr, sizeof(attr)));
		return error == ENOENT ? 0 : error;
	}
	if (!strcmp(word, "write")) {
		fd = open(what, O_WRONLY);
		error = outcome(fd);
		close(fd);
		return error;
	}
	return child_of_mine(word);
}

int main(int argc, char **argv)
{
	FILE *plan = argc == 3 ? fopen(argv[2], "r") : NULL;
	char line[200], word[20], what[160];
	int number, count = 0;

	if (!plan)
		return 96;
	prctl(PR_SET_NAME, argv[1]);
	while (fgets(line, sizeof(line), plan)) {
		number = 0;
		*what = 0;
		sscanf(line, "%19s %159s %d", word, what, &number);
		number = do_it(word, what, number);
		printf("%d %d\n", count++, number);
		fflush(stdout);
	}
	return 0;
}
