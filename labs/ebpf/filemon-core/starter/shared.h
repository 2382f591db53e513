/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What both sides share: numbers of fixed sizes only, so that both see the same bytes. Change it as you like. */
#ifndef SHARED_H
#define SHARED_H

#define COMM 16

/* Set before the programs are loaded, so the verifier knows the values, too. */
struct filter {
	unsigned int pid;
};

/* One record of the ring. */
struct event {
	unsigned long long ns;
	unsigned int pid;
	char comm[COMM];
};

#endif
