// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The first process. Standard output is the serial line.
 *
 * It prints, each at the beginning of a line:
 *
 *	tiny: up TOKEN			TOKEN stands on the kernel's command line: tiny.token=TOKEN
 *	tiny: slow FUNCTION USECS	three times, the slowest initcall of this boot first
 *	tiny: payload STATUS		the exit status of /payload
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <unistd.h>

/* TODO: procfs at /proc, sysfs at /sys, devtmpfs at /dev. */
static void mounts(void)
{
}

/* TODO: print the token of /proc/cmdline. */
static void up(void)
{
}

/*
 * TODO: the kernel's log (klogctl) holds, with initcall_debug, a line for each initcall:
 *	initcall FUNCTION+0x0/0x10 returned 0 after USECS usecs
 */
static void slow(void)
{
}

/* TODO: start /payload and print its exit status; return when no process is left. */
static void payload(void)
{
}

int main(void)
{
	puts("tiny: init is there");
	mounts();
	up();
	slow();
	payload();
	/* TODO: restart the machine. When init returns, the kernel panics. */
	return 0;
}
