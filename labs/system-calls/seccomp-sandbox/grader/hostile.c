// SPDX-License-Identifier: GPL-3.0-or-later
/* A program that tries to get out, one way at a time. It prints what the kernel answered. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The instruction itself: the result is not turned into errno. */
static long call(long number, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;

	__asm__ volatile("syscall"
			 : "+a"(number)
			 : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return number;
}

/* The other door: numbers and registers of i386, which see only the lower halves. */
static long call_i386(long number, long b, long c, long d)
{
	__asm__ volatile("int $0x80"
			 : "+a"(number)
			 : "b"(b), "c"(c), "d"(d)
			 : "memory", "r8", "r9", "r10", "r11");
	return (int)number;
}

static void show(long result)
{
	dprintf(1, "= %ld\n", result);
}

static void show_file(long fd)
{
	char text[256];
	long length;

	show(fd < 0 ? fd : 0);
	while (fd >= 0 && (length = call(__NR_read, fd, (long)text, sizeof(text), 0, 0, 0)) > 0)
		call(__NR_write, 1, (long)text, length, 0, 0, 0);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	static char low[4096]; /* not position independent: below 4 GiB */

	if (!strcmp(what, "call")) {
		long a[7] = { 0 };

		for (int i = 0; i < 7 && i + 2 < argc; i++)
			a[i] = strtol(argv[i + 2], NULL, 0);
		show(call(a[0], a[1], a[2], a[3], a[4], a[5], a[6]));
	} else if (!strcmp(what, "open") && argc == 4) {
		show_file(call(__NR_openat, AT_FDCWD, (long)argv[2], strtol(argv[3], NULL, 0), 0600, 0, 0));
	} else if (!strcmp(what, "i386") && argc == 3) {
		strncpy(low, argv[2], sizeof(low) - 1);
		show_file(call_i386(5 /* open */, (long)low, O_RDONLY, 0));
	} else if (!strcmp(what, "write") && argc == 4) {
		show(call(__NR_write, atol(argv[2]), (long)argv[3], strlen(argv[3]), 0, 0, 0));
	} else if (!strcmp(what, "dup") && argc == 3) {
		show(call(__NR_dup2, 3, 1, 0, 0, 0, 0)); /* where it works, this line is the leak */
		dprintf(1, "%s\n", argv[2]);
	} else if (!strcmp(what, "map") && argc == 4) {
		long flags = strtol(argv[3], NULL, 0);
		long at = call(__NR_mmap, 0, 4096, PROT_READ | PROT_WRITE, flags, 3, 0);

		show(at < 0 && at > -4096 ? at : 0);
		if (at > 0)
			strcpy((char *)at, argv[2]);
	} else if (!strcmp(what, "fork")) {
		long pid = call(__NR_fork, 0, 0, 0, 0, 0, 0);

		if (!pid)
			_exit(0);
		show(pid);
	} else if (!strcmp(what, "exec") && argc > 2) {
		show(call(__NR_execve, (long)argv[2], (long)(argv + 2), (long)environ, 0, 0, 0));
	} else {
		dprintf(2, "hostile: what?\n");
		return 2;
	}
	return 0;
}
