// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * filemon [-p PID] [-c CGROUP] [-d DIRECTORY] [-l LIMIT] [-r KIB] [-b BTF] [-v]: one line of JSON for each open.
 *
 * Complete. It ends on SIGINT and SIGTERM, with a line of sums; exit status 2 when types are missing.
 */
#include <bpf/libbpf.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "filemon.h"

#define LOOK_MS 50

static volatile sig_atomic_t ended;

static void end(int number)
{
	(void)number;
	ended = 1;
}

/* What libbpf says, and with it the verifier, is shown when it is asked for. */
static int quiet(enum libbpf_print_level level, const char *format, va_list arguments)
{
	return level == LIBBPF_DEBUG ? 0 : vfprintf(stderr, format, arguments);
}

/* Names are bytes, of no encoding: each one becomes the character of its number. */
static void text(const char *key, const char *bytes)
{
	printf("\"%s\": \"", key);
	for (; *bytes; bytes++) {
		unsigned char byte = *bytes;

		if (byte < 32 || byte > 126 || byte == '"' || byte == '\\')
			printf("\\u%04x", byte);
		else
			putchar(byte);
	}
	printf("\"");
}

void report(const struct opened *opened)
{
	printf("{\"pid\": %d, \"tid\": %d, \"ppid\": %d, \"cgroup\": %" PRIu64 ", ", opened->pid, opened->tid,
	       opened->ppid, opened->cgroup);
	text("comm", opened->comm);
	printf(", \"result\": %" PRId64 ", \"ns\": %" PRIu64 ", ", opened->result, opened->ns);
	text("path", opened->path);
	printf("}\n");
}

static unsigned int number(const char *word)
{
	char *rest;
	unsigned long value = strtoul(word, &rest, 10);

	if (*rest || !*word || value > 1 << 22) {
		fprintf(stderr, "filemon: %s is no number that can be used here\n", word);
		exit(1);
	}
	return value;
}

int main(int argc, char **argv)
{
	struct wanted wanted = { .ring = 256 << 10 };
	struct sigaction action = { .sa_handler = end };
	libbpf_print_fn_t say = NULL;
	struct sums sums = { 0 };
	int option, status;

	while ((option = getopt(argc, argv, "p:c:d:l:r:b:v")) != -1) {
		if (option == 'p')
			wanted.pid = number(optarg);
		else if (option == 'c')
			wanted.cgroup = optarg;
		else if (option == 'd')
			wanted.directory = optarg;
		else if (option == 'l')
			wanted.limit = number(optarg);
		else if (option == 'r')
			wanted.ring = number(optarg) << 10;
		else if (option == 'b')
			wanted.btf = optarg;
		else if (option == 'v')
			say = quiet;
		else
			return 1;
	}
	libbpf_set_print(say);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	status = monitor_start(&wanted);
	if (status == NO_TYPES) {
		fprintf(stderr, "filemon: this kernel does not describe its types (CONFIG_DEBUG_INFO_BTF);"
				" give a file of its BTF by -b\n");
		return NO_TYPES;
	}
	if (status) {
		fprintf(stderr, "filemon: %s; -v tells more\n", strerror(-status));
		return 1;
	}
	fprintf(stderr, "ready\n");
	while (!ended && (status = monitor_poll(LOOK_MS), status >= 0 || status == -EINTR))
		fflush(stdout);
	monitor_stop();
	monitor_poll(0);
	monitor_sums(&sums);
	printf("{\"lost\": %" PRIu64 ", \"skipped\": %" PRIu64 "}\n", sums.lost, sums.skipped);
	return ended ? 0 : 1;
}
