/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The policy: what you write. sandbox.c calls both. */
#ifndef POLICY_H
#define POLICY_H

/*
 * Install the filter for the calling thread and what it executes.
 * Returns the listener, a file descriptor on which calls of openat arrive; -1 with errno on failure.
 */
int install(void);

/*
 * Answer one call that waits on the listener. `root` is the folder that is the program's
 * whole world of files. Returns when the call was answered, or has gone away.
 */
void answer(int listener, int root);

#endif
