// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * server: requests come in by standard input, one a line (id, amount, who); each one is answered by its id and
 * what is left. At its end it says on standard error how many requests were described.
 *
 * It is to have two probes for tools outside (USDT), of the provider `teller`, each with a semaphore:
 *
 *	request__start	id (unsigned int), amount (int), what describe() says of it (a string)
 *	request__done	id (unsigned int), what serve() returned (long)
 *
 * While nobody listens to request__start, nothing is described for it.
 */
#include <stdio.h>

/* TODO: <sys/sdt.h>, and what must be defined before. A semaphore is an unsigned short in the section .probes. */

#include "ticket.h"

int main(void)
{
	struct request request;
	long result;

	while (scanf("%u %d %31s", &request.id, &request.amount, request.who) == 3) {
		/* TODO */
		result = serve(&request);
		/* TODO */
		printf("%u %ld\n", request.id, result);
	}
	fprintf(stderr, "described %u\n", described);
	return 0;
}
