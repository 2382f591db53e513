/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the program sees of the kernel's structs: CO-RE finds out where in them it lies. */
#ifndef SEEKS_H
#define SEEKS_H

#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

#define SEEN __attribute__((preserve_access_index))

struct qstr {
	const unsigned char *name;
} SEEN;

struct dentry {
	struct qstr d_name;
} SEEN;

struct path {
	struct dentry *dentry;
} SEEN;

struct inode {
	__u32 i_rdev; /* 20 bits of minor number below 12 of major number */
} SEEN;

struct file {
	struct path f_path;
	struct inode *f_inode;
} SEEN;

#endif
