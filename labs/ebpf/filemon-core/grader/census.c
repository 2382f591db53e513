// SPDX-License-Identifier: GPL-3.0-or-later
/* census: how many programs, maps and links of BPF there are in this kernel, and how often programs ran. */
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static long bpf(int command, union bpf_attr *attr)
{
	return syscall(SYS_bpf, command, attr, sizeof(*attr));
}

static unsigned int number(int command)
{
	union bpf_attr attr = { 0 };
	unsigned int found = 0;

	while (!bpf(command, &attr)) {
		attr.start_id = attr.next_id;
		found++;
	}
	return found;
}

/* Counted when kernel.bpf_stats_enabled is set. */
static unsigned long long runs(void)
{
	union bpf_attr next = { 0 };
	unsigned long long sum = 0;

	while (!bpf(BPF_PROG_GET_NEXT_ID, &next)) {
		struct bpf_prog_info info = { 0 };
		union bpf_attr attr = { .prog_id = next.next_id };
		int fd = bpf(BPF_PROG_GET_FD_BY_ID, &attr);

		memset(&attr, 0, sizeof(attr));
		attr.info.bpf_fd = fd;
		attr.info.info_len = sizeof(info);
		attr.info.info = (unsigned long)&info;
		if (fd >= 0 && !bpf(BPF_OBJ_GET_INFO_BY_FD, &attr))
			sum += info.run_cnt;
		close(fd);
		next.start_id = next.next_id;
	}
	return sum;
}

int main(void)
{
	printf("programs %u maps %u links %u runs %llu\n", number(BPF_PROG_GET_NEXT_ID),
	       number(BPF_MAP_GET_NEXT_ID), number(BPF_LINK_GET_NEXT_ID), runs());
	return 0;
}
