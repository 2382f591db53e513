// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The first and only process: it calls the two new system calls, and some old ones.
 * It prints `probe: NAME RESULT ERRNO TEXT` for each call; /words holds texts, a line each.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PUT 548
#define GET 549
#define TEXT 64
#define PAGE 4096
#define POISON 0x5a
#define KERNEL ((char *)0xffffffff81000000)	/* the kernel's own code */
#define DIRECT ((char *)0xffff888000100000)	/* all memory, as the kernel sees it */
#define NOWHERE ((char *)0x8000000000000000)	/* no address at all */

static char *page, *guard;	/* a page that can be used, and one behind it that cannot */

static long say(const char *name, long result, const char *text)
{
	printf("probe: %s %ld %d %s\n", name, result, result < 0 ? errno : 0, text);
	return result;
}

static long put(const char *name, const char *text)
{
	return say(name, syscall(PUT, text), "");
}

/* Read back into a poisoned buffer; the text is shown, and how many bytes were written. */
static long get(const char *name, long seq, size_t size)
{
	char buffer[2 * TEXT], shown[2 * TEXT + 32] = "";
	long result;
	size_t last = sizeof(buffer);

	memset(buffer, POISON, sizeof(buffer));
	result = syscall(GET, seq, buffer, size);
	while (last && buffer[last - 1] == POISON)
		last--;
	if (result >= 0)
		snprintf(shown, sizeof(shown), "%zu [%.*s]", last, 2 * TEXT, buffer);
	else if (last)
		snprintf(shown, sizeof(shown), "wrote %zu bytes", last);
	return say(name, result, shown);
}

/* A text of `length` letters that ends with its NUL at the very end of the page. */
static char *at_the_edge(size_t length)
{
	char *text = guard - length - 1;

	memset(text, 'e', length);
	guard[-1] = 0;
	return text;
}

static void words(void)
{
	FILE *file = fopen("/words", "r");
	char line[2 * TEXT], name[32];
	int count = 0;

	while (file && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = 0;
		snprintf(name, sizeof(name), "put-%d", count++);
		put(name, line);
	}
	for (int seq = 0; seq < count; seq++) {
		snprintf(name, sizeof(name), "get-%d", seq);
		get(name, seq, TEXT);
	}
	get("future", count, TEXT);
	get("negative", -1, TEXT);
}

static void bad_pointers(void)
{
	char many[PAGE];

	put("before", "before");
	put("null", NULL);
	put("unmapped", guard);
	put("kernel", KERNEL);
	put("direct", DIRECT);
	put("nowhere", NOWHERE);
	memset(guard - 8, 't', 8);
	put("torn", guard - 8);
	memset(many, 'm', sizeof(many));
	many[sizeof(many) - 1] = 0;
	put("long", many);
	many[TEXT] = 0;
	put("one-too-long", many);
	put("after", "after");
}

static void edges(void)
{
	char longest[TEXT];

	memset(longest, 'l', TEXT - 1);
	longest[TEXT - 1] = 0;
	get("longest-back", put("longest", longest), TEXT);
	get("edge-back", put("edge", at_the_edge(5)), TEXT);
	get("empty-back", put("empty", ""), TEXT);
}

static void reading_back(void)
{
	long seq = put("six", "sixsix");

	get("fits", seq, 7);
	get("too-small", seq, 6);
	get("nothing", seq, 0);
	get("plenty", seq, 1 << 20);
	say("to-null", syscall(GET, seq, NULL, TEXT), "");
	say("to-kernel", syscall(GET, seq, DIRECT, TEXT), "");
	say("to-guard", syscall(GET, seq, guard - 3, TEXT), "");
	memset(page, POISON, PAGE);
	mprotect(page, PAGE, PROT_READ);
	say("to-readonly", syscall(GET, seq, page, TEXT), "");
	mprotect(page, PAGE, PROT_READ | PROT_WRITE);
}

static void users(void)
{
	long mine = put("root", "of root");
	int status, pair[2];
	long theirs = -1;
	pid_t child;

	if (pipe(pair))
		return;
	fflush(stdout);
	child = fork();
	if (!child) {
		if (setresgid(1000, 1000, 1000) || setresuid(1000, 1000, 1000))
			exit(1);
		get("user-reads-root", mine, TEXT);
		theirs = put("user", "of a user");
		get("user-reads-user", theirs, TEXT);
		exit(write(pair[1], &theirs, sizeof(theirs)) != sizeof(theirs));
	}
	close(pair[1]);
	if (read(pair[0], &theirs, sizeof(theirs)) == sizeof(theirs))
		get("root-reads-user", theirs, TEXT);
	waitpid(child, &status, 0);
}

static void neighbours(void)
{
	say("getpid", syscall(SYS_getpid), "");
	say("fchmodat2", syscall(452, -1, "none", 0, 0), "");
	say("mseal", syscall(462, 0, 0, 0), "");
	say("n463", syscall(463), "");
	say("n547", syscall(547), "");
	say("n550", syscall(550), "");
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	page = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	guard = page + PAGE;
	munmap(guard, PAGE);
	puts("probe: begins");
	words();
	bad_pointers();
	edges();
	reading_back();
	users();
	neighbours();
	puts("probe: end");
	for (;;)
		pause();
}
