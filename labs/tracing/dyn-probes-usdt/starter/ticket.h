/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a request is, and what is expensive about it. Nothing to do here. */
#ifndef TICKET_H
#define TICKET_H

struct request {
	unsigned int id;
	int amount;
	char who[32];
};

/* What is left of the account; below 0: refused. */
long serve(const struct request *request);

/* A line about a request. It takes long, and each call is counted. */
const char *describe(const struct request *request);

/* How often describe() was called. */
extern unsigned int described;

#endif
