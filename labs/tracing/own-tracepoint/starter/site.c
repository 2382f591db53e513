// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * site MODULE SYSTEM EVENT: which code of a module changes when its event is switched on.
 *
 * For each place where the module asks whether the event is on, and that is patched, one line: how far it is from
 * the start of the module's .text, the bytes of the instruction while the event is off, and while it is on, like
 *
 *	0x1c4 0f1f440000 e9d3000000
 *
 * Only these, and in their order. In the end the event is off. The kernel's memory is in /proc/kcore, which is an
 * ELF file: its program headers say which address is where in the file. The module's address is in
 * /sys/module/MODULE/sections. Exit status: 0 when both could be read.
 */
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>

#define TRACING "/sys/kernel/tracing"

int main(int argc, char **argv)
{
	if (argc != 4) {
		fprintf(stderr, "site MODULE SYSTEM EVENT\n");
		return 2;
	}
	/* TODO: read .text, switch the event on, read it again. What of the difference is a jump? */
	(void)argv;
	return 0;
}
