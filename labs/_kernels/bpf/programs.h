/* SPDX-License-Identifier: GPL-2.0-only */
/* The one variable of each object, in its .bss: programs count there, the loader reads. */
struct seen {
	unsigned long long times;
	unsigned int pid; /* of the loader: what others do is not its doing */
};
