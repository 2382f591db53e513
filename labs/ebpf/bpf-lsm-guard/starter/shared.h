/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What both sides share. Change it as you like, but for the acts. */
#ifndef SHARED_H
#define SHARED_H

/* What processes of the cgroup must not do. */
enum act {
	ACT_CONNECT, /* to an address of the policy, by IPv4, IPv6, or IPv4 in IPv6 */
	ACT_EXECUTE, /* a file that others can write (group or all), or that lies in such a directory; map it, too */
	ACT_TRACE, /* attach to a process, be traced by one, touch another's memory; to look at /proc is allowed */
	ACT_SIGNAL, /* to the guard */
	ACT_BPF, /* any call of bpf() */
	ACT_LEAVE, /* open a file of the cgroup file system to write in it */
	ACTS
};

struct event {
	unsigned int act;
	unsigned int pid;
	unsigned int denied;
	char comm[16];
};

#endif
