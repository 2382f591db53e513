// SPDX-License-Identifier: GPL-3.0-or-later
/* The side in user space: loads the programs, and takes what comes from them. filemon.h says what each function does. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>

#include "filemon.h"
#include "shared.h"
#include "filemon.skel.h"

static struct filemon *programs;
static struct ring_buffer *ring;

static int take(void *context, void *data, size_t size)
{
	const struct event *event = data;
	struct opened opened = {
		.ns = event->ns,
		.pid = event->pid,
		.comm = event->comm,
		.path = "",
	};

	(void)context;
	(void)size;
	report(&opened);
	return 0;
}

int monitor_start(const struct wanted *wanted)
{
	int error;

	/* TODO: which description of types; size of the ring; what is wanted. */
	programs = filemon__open();
	if (!programs)
		return -errno;
	programs->rodata->filter.pid = wanted->pid;
	error = filemon__load(programs);
	if (error)
		return error;
	ring = ring_buffer__new(bpf_map__fd(programs->maps.ring), take, NULL, NULL);
	if (!ring)
		return -errno;
	return filemon__attach(programs);
}

int monitor_poll(int ms)
{
	return ring_buffer__poll(ring, ms);
}

void monitor_stop(void)
{
	filemon__detach(programs);
}

void monitor_sums(struct sums *sums)
{
	/* TODO */
	memset(sums, 0, sizeof(*sums));
}
