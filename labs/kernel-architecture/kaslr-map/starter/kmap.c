// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * kmap SYSTEM_MAP [PID...]: where the running kernel's regions lie, as JSON.
 *
 *	levels		of page tables that the kernel uses, 4 or 5
 *	text		where the kernel's code begins (_stext)
 *	slide		how far that is from where it was linked to (SYSTEM_MAP)
 *	direct_map	where all physical memory is mapped
 *	vmalloc		where vmalloc() begins
 *	vmemmap		where the array of struct page begins
 *	modules		where the space of modules begins
 *	user_end	the first address that no process can ever have
 *	moved		which of text, direct_map, vmalloc and vmemmap are not where they would be
 *			with nokaslr (Documentation/arch/x86/x86_64/mm.rst)
 *	highest		for each PID: the end of its highest mapping that is in user space
 *
 * Where /proc/kallsyms hides the addresses, kmap prints nothing and exits with 2.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* TODO: the address of a symbol in /proc/kallsyms or in System.map; 0 when it is not shown. */
static uint64_t symbol(const char *path, const char *name)
{
	(void)path;
	(void)name;
	return 0;
}

/* TODO: 4 or 5. */
static int levels(void)
{
	return 4;
}

/* TODO: the end of the highest mapping in user space, of /proc/PID/maps. */
static uint64_t highest(const char *pid)
{
	(void)pid;
	return 0;
}

static void show(const char *name, uint64_t address)
{
	printf("\"%s\": \"%#llx\", ", name, (unsigned long long)address);
}

int main(int argc, char *argv[])
{
	uint64_t text = symbol("/proc/kallsyms", "_stext");

	if (argc < 2)
		return 1;
	/* TODO: exit with 2 when the kernel does not show addresses. */

	printf("{\"levels\": %d, ", levels());
	show("text", text);
	show("slide", text - symbol(argv[1], "_stext"));
	/* TODO */
	show("direct_map", 0);
	show("vmalloc", 0);
	show("vmemmap", 0);
	show("modules", 0);
	show("user_end", 0);

	/* TODO: the names of what has moved. */
	printf("\"moved\": [], \"highest\": {");
	for (int n = 2; n < argc; n++)
		printf("%s\"%s\": \"%#llx\"", n > 2 ? ", " : "", argv[n], (unsigned long long)highest(argv[n]));
	puts("}}");
	return 0;
}
