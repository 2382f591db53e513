// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * service FILE: add up what each customer bought.
 *
 * A line of FILE is a customer's name, a blank, and an amount. Names may be written in any mixture of upper
 * and lower case, and with any number of dots in them, which do not count: "Q.Lamb" and "qlamb" are one
 * customer. For each customer one line is printed, in the order in which they came first: the name as it was
 * written first, the number of purchases, the sum and the largest amount. On stderr: how long it all took.
 *
 * The answers are right. It is too slow.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NAME 64
#define MOST 65536

struct customer {
	char name[NAME]; /* as it was written first */
	char key[NAME];
	unsigned long purchases, sum, largest;
};

static struct customer customers[MOST];
static size_t known;

/* What a name has in common with all its other spellings. */
static void make_key(char *key, const char *name)
{
	size_t used = 0;

	for (size_t n = 0; n < strlen(name); n++) {
		if (name[n] != '.')
			key[used++] = tolower((unsigned char)name[n]);
	}
	key[used] = '\0';
}

static int same(const char *one, const char *other)
{
	while (*one && *one == *other) {
		one++;
		other++;
	}
	return *one == *other;
}

static struct customer *find(const char *key)
{
	for (size_t n = 0; n < known; n++) {
		if (same(customers[n].key, key))
			return &customers[n];
	}
	return NULL;
}

static void buy(const char *name, unsigned long amount)
{
	struct customer *customer;
	char key[NAME];

	make_key(key, name);
	customer = find(key);
	if (!customer) {
		if (known == MOST)
			exit(1);
		customer = &customers[known++];
		strcpy(customer->name, name);
		strcpy(customer->key, key);
	}
	customer->purchases++;
	customer->sum += amount;
	if (amount > customer->largest)
		customer->largest = amount;
}

static void serve(FILE *in)
{
	unsigned long amount;
	char name[NAME];

	while (fscanf(in, "%63s %lu", name, &amount) == 2)
		buy(name, amount);
}

static void print_all(void)
{
	for (size_t n = 0; n < known; n++)
		printf("%s %lu %lu %lu\n", customers[n].name, customers[n].purchases, customers[n].sum,
		       customers[n].largest);
}

int main(int argc, char **argv)
{
	struct timespec begin, end;
	FILE *in = argc == 2 ? fopen(argv[1], "re") : NULL;

	if (!in) {
		fprintf(stderr, "service FILE\n");
		return 1;
	}
	clock_gettime(CLOCK_MONOTONIC, &begin);
	serve(in);
	print_all();
	fflush(stdout);
	clock_gettime(CLOCK_MONOTONIC, &end);
	fprintf(stderr, "took: %ld us\n",
		(end.tv_sec - begin.tv_sec) * 1000000 + (end.tv_nsec - begin.tv_nsec) / 1000);
	return 0;
}
