// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Where system calls lead, asked of the running kernel. All numbers as strtoul() reads them.
 *
 * entry msr NUMBER       a model-specific register of CPU 0, as 16 hexadecimal digits
 * entry symbol ADDRESS   "NAME+0xOFFSET": the symbol at or below a kernel address
 * entry call NUMBER      the function in sys_call_table; "none" for a number beyond its end
 * entry report           what `syscall` does: entry point, segments, flags
 */
#define _GNU_SOURCE
#include <elf.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MSR_EFER 0xc0000080
#define MSR_STAR 0xc0000081
#define MSR_LSTAR 0xc0000082
#define MSR_SFMASK 0xc0000084
#define FLAG_IF 0x200

struct symbol {
	uint64_t address;
	char name[128];
};

/* TODO: read a register. 0, or -1 when there is no such register. */
static int msr(uint32_t number, uint64_t *value)
{
	(void)number;
	*value = 0;
	return -1;
}

/* TODO: the last symbol at or below `address`, in /proc/kallsyms. -1 when there is none. */
static int symbol_at(uint64_t address, struct symbol *found)
{
	(void)address;
	(void)found;
	return -1;
}

/* TODO: print the function of a number. */
static int call(unsigned long number)
{
	(void)number;
	return 1;
}

/* Print what `syscall` does on this kernel. */
static int report(void)
{
	uint64_t lstar, star, mask, efer;
	struct symbol at;

	if (msr(MSR_LSTAR, &lstar) || msr(MSR_STAR, &star) || msr(MSR_SFMASK, &mask) || msr(MSR_EFER, &efer))
		return 1;
	if (symbol_at(lstar, &at))
		return 1;
	printf("entry %s+0x%lx\n", at.name, lstar - at.address);
	/* TODO: the four numbers, from STAR, SFMASK and EFER: see README.md. */
	printf("kernel_cs 0x%x\n", 0);
	printf("user_cs 0x%x\n", 0);
	printf("interrupts %s\n", "?"); /* on or off, when the entry code begins */
	printf("syscall %s\n", "?"); /* enabled or disabled */
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	unsigned long number = argc > 2 ? strtoul(argv[2], NULL, 0) : 0;
	struct symbol at;
	uint64_t value;

	if (!strcmp(what, "report"))
		return report();
	if (argc == 3 && !strcmp(what, "msr")) {
		if (msr(number, &value)) {
			perror("entry: msr");
			return 1;
		}
		printf("%016lx\n", value);
		return 0;
	}
	if (argc == 3 && !strcmp(what, "symbol")) {
		if (symbol_at(number, &at))
			return 1;
		printf("%s+0x%lx\n", at.name, number - at.address);
		return 0;
	}
	if (argc == 3 && !strcmp(what, "call"))
		return call(number);
	fprintf(stderr, "usage: entry msr NUMBER | symbol ADDRESS | call NUMBER | report\n");
	return 2;
}
