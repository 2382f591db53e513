// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * notes: keeps short notes, and answers requests, a line each, on stdin:
 *
 *   put NAME TEXT   keeps it; answers `kept`, or `was OLD TEXT` where there was one of that name
 *   get NAME        answers `TEXT`, or `no NAME`
 *   del NAME        answers `gone TEXT`, or `no NAME`
 *   ask NAME        answers how many letters the text has, or `no NAME`
 *
 * NAME has no blanks, TEXT may have. No more than ROOM notes are kept: the one that was put longest ago goes
 * when another one comes. A note that is put again counts as new. A line that is none of these: `what?`.
 *
 * The answers are right. The memory that it needs grows and grows.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROOM 64

struct note {
	struct note *next;
	char *name, *text;
};

/* A request, taken apart: the three are pieces of its line. */
struct request {
	char *verb, *name, *text;
	char line[];
};

/* The oldest one comes first. */
static struct note *first;
static unsigned int kept;

static void *need(void *memory)
{
	if (!memory) {
		perror("notes");
		exit(1);
	}
	return memory;
}

static char *copy(const char *text)
{
	size_t size = strlen(text) + 1;

	return memcpy(need(malloc(size)), text, size);
}

/* Where the pointer to a note of this name is, or to the end. */
static struct note **find(const char *name)
{
	struct note **place = &first;

	while (*place && strcmp((*place)->name, name))
		place = &(*place)->next;
	return place;
}

static struct note *unlink_note(struct note **place)
{
	struct note *note = *place;

	*place = note->next;
	kept--;
	return note;
}

static void append(struct note *note)
{
	struct note **end = &first;

	while (*end)
		end = &(*end)->next;
	note->next = NULL;
	*end = note;
	kept++;
}

static struct request *parse(const char *line)
{
	struct request *request = need(malloc(sizeof(*request) + strlen(line) + 1));

	strcpy(request->line, line);
	request->line[strcspn(request->line, "\n")] = '\0';
	request->verb = strtok_r(request->line, " ", &request->text);
	request->name = strtok_r(NULL, " ", &request->text);
	if (!request->verb || !request->name)
		return NULL;
	return request;
}

static void put(struct request *request)
{
	struct note **place = find(request->name), *note = *place;

	if (note) {
		char *old = note->text;

		unlink_note(place);
		note->text = copy(request->text);
		append(note);
		printf("was %s\n", old);
		return;
	}
	if (kept == ROOM)
		free(unlink_note(&first));
	note = need(calloc(1, sizeof(*note)));
	note->name = copy(request->name);
	note->text = copy(request->text);
	append(note);
	puts("kept");
}

static void get(struct request *request)
{
	struct note *note = *find(request->name);

	if (note)
		puts(note->text);
	else
		printf("no %s\n", request->name);
}

static void del(struct request *request)
{
	struct note **place = find(request->name), *note = *place;

	if (!note) {
		printf("no %s\n", request->name);
		return;
	}
	unlink_note(place);
	printf("gone %s\n", note->text);
	free(note->name);
	free(note->text);
	free(note);
}

static void ask(struct request *request)
{
	struct note *note = *find(request->name);

	if (note)
		printf("%zu\n", strlen(note->text));
	else
		printf("no %s\n", request->name);
}

static const struct {
	const char *verb;
	void (*serve)(struct request *request);
} verbs[] = { { "put", put }, { "get", get }, { "del", del }, { "ask", ask } };

static void serve(struct request *request)
{
	for (size_t n = 0; n < sizeof(verbs) / sizeof(verbs[0]); n++) {
		if (!strcmp(request->verb, verbs[n].verb)) {
			verbs[n].serve(request);
			return;
		}
	}
	puts("what?");
}

int main(void)
{
	struct request *request;
	char *line = NULL;
	size_t size = 0;

	while (getline(&line, &size, stdin) > 0) {
		request = parse(line);
		if (request) {
			serve(request);
			free(request);
		} else {
			puts("what?");
		}
		fflush(stdout);
	}
	free(line);
	while (first) {
		struct note *note = unlink_note(&first);

		free(note->name);
		free(note->text);
		free(note);
	}
	return 0;
}
