/* SPDX-License-Identifier: GPL-2.0-only */
/* What the BPF program tells its loader; both include this. */
#ifndef EVENT_H
#define EVENT_H

struct event {
	int pid;
	int parent;
	char file[64];
};

#endif
