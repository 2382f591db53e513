// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * guard [-v] CGROUP POLICY: guard a cgroup until SIGTERM; SIGHUP reads the policy anew. One line of JSON for each
 * act that is forbidden.
 *
 * Complete. Each line of a policy is `enforce`, or an address and its bits: 192.0.2.0/24, 2001:db8::/32.
 */
#include <arpa/inet.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guard.h"

#define LOOK_MS 50

static volatile sig_atomic_t ended, again;

static void hear(int number)
{
	if (number == SIGHUP)
		again = 1;
	else
		ended = 1;
}

static int quiet(enum libbpf_print_level level, const char *format, va_list arguments)
{
	return level == LIBBPF_DEBUG ? 0 : vfprintf(stderr, format, arguments);
}

void report(enum act act, int pid, bool denied, const char *comm)
{
	static const char *const names[ACTS] = { "connect", "execute", "trace", "signal", "bpf", "leave" };

	printf("{\"act\": \"%s\", \"pid\": %d, \"denied\": %s, \"comm\": \"%.16s\"}\n",
	       act < ACTS ? names[act] : "unknown", pid, denied ? "true" : "false", comm);
}

static int policy_read(const char *path, struct policy *policy)
{
	FILE *file = fopen(path, "re");
	char line[100];

	memset(policy, 0, sizeof(*policy));
	if (!file)
		return -errno;
	while (fgets(line, sizeof(line), file) && policy->count < RULES) {
		struct rule *rule = &policy->rules[policy->count];
		char *bits = strchr(line, '/');

		if (!strcmp(line, "enforce\n")) {
			policy->enforce = true;
		} else if (bits) {
			*bits++ = 0;
			rule->bits = atoi(bits);
			rule->six = strchr(line, ':');
			if (inet_pton(rule->six ? AF_INET6 : AF_INET, line, rule->address) == 1)
				policy->count++;
		}
	}
	fclose(file);
	return 0;
}

int main(int argc, char **argv)
{
	static struct policy policy;
	struct sigaction action = { .sa_handler = hear };
	bool verbose = argc > 1 && !strcmp(argv[1], "-v");
	int error;

	argv += verbose;
	argc -= verbose;
	if (argc != 3) {
		fprintf(stderr, "guard [-v] CGROUP POLICY\n");
		return 1;
	}
	libbpf_set_print(verbose ? quiet : NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	error = policy_read(argv[2], &policy);
	if (!error)
		error = guard_start(argv[1], &policy);
	if (error) {
		fprintf(stderr, "guard: %s; -v tells more\n", strerror(-error));
		return 1;
	}
	fprintf(stderr, "ready\n");
	while (!ended) {
		if (again) {
			again = 0;
			error = policy_read(argv[2], &policy);
			if (!error)
				error = guard_policy(&policy);
			fprintf(stderr, "policy: %s\n", strerror(-error));
		}
		error = guard_poll(LOOK_MS);
		if (error < 0 && error != -EINTR)
			return 1;
		fflush(stdout);
	}
	return 0;
}
