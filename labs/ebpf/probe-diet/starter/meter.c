// SPDX-License-Identifier: GPL-3.0-or-later
/* Attaches program `seeks` of an object, runs a command, and prints what answers.c knows afterwards. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "answers.h"

#define POLL_US 5000

static int watch(char **command)
{
	pid_t child = fork(), ended;
	int status;

	if (!child) {
		execv(command[0], command);
		perror(command[0]);
		_exit(127);
	}
	if (child < 0)
		return -1;
	while (!(ended = waitpid(child, &status, WNOHANG))) {
		if (answers_poll()) {
			kill(child, SIGKILL);
			return -1;
		}
		usleep(POLL_US);
	}
	return ended == child && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void print(const struct answers *answers)
{
	static const char *const names[DEVICES] = { "null", "zero", "full" };

	for (int device = 0; device < DEVICES; device++) {
		for (int whence = 0; whence < WHENCES; whence++)
			printf("seeks %s %d %llu\n", names[device], whence,
			       (unsigned long long)answers->seeks[device][whence]);
	}
	for (int slot = 0; slot < SLOTS; slot++) {
		if (answers->slots[slot])
			printf("slot %d %llu\n", slot, (unsigned long long)answers->slots[slot]);
	}
	for (int device = 0; device < DEVICES; device++)
		printf("farthest %s %llu\n", names[device], (unsigned long long)answers->farthest[device]);
}

int main(int argc, char **argv)
{
	struct answers answers = { 0 };
	struct bpf_program *program;
	struct bpf_object *object;
	struct bpf_link *link;
	int status;

	if (argc < 3) {
		fprintf(stderr, "usage: meter OBJECT PROGRAM [ARGUMENT]...\n");
		return 2;
	}
	object = bpf_object__open_file(argv[1], NULL);
	if (!object || bpf_object__load(object))
		return 1;
	program = bpf_object__find_program_by_name(object, "seeks");
	if (!program || answers_begin(object))
		return 1;
	link = bpf_program__attach(program);
	if (!link)
		return 1;
	status = watch(argv + 2);
	bpf_link__destroy(link);
	if (status || answers_end(object, &answers)) {
		fprintf(stderr, "meter: the command ended with %d, or there are no answers\n", status);
		return 1;
	}
	print(&answers);
	bpf_object__close(object);
	return 0;
}
