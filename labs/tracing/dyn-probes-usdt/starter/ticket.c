// SPDX-License-Identifier: GPL-3.0-or-later
/* What the server does for a request, and how a request is described. Nothing to do here. */
#include <stdio.h>

#include "ticket.h"

unsigned int described;

static long left = 100000;

long serve(const struct request *request)
{
	if (request->amount > left)
		return left - request->amount;
	return left -= request->amount;
}

const char *describe(const struct request *request)
{
	static char line[64];

	described++;
	snprintf(line, sizeof(line), "%s wants %d", request->who, request->amount);
	return line;
}
