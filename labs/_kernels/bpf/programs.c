// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loads a BPF program of each type, attaches it, does what makes it run, and looks whether
 * it ran and whether what it does could be felt. A line for each type: "TYPE: ran", or
 * "TYPE: no, ERRNO: REASON". The objects lie in the folder that is its first word.
 */
#define _GNU_SOURCE
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
/* After the C library's own, of which it would define half again. */
#include <linux/netfilter.h>
#include "programs.h"

#define NOT_FELT 1		/* what a type's function returns beside 0 and -errno */
#define PATIENCE_MS 20000	/* a type that does not run does not hold up the others */
#define TELLTALE 7		/* a port where nobody listens */
#define CGROUPS "/sys/fs/cgroup"
#define SCHED_EXT "/sys/kernel/sched_ext/state"

static struct seen *seen;
static struct bpf_link *hook;
static char kernel_log[1 << 16], warning[512];

static int hooked(struct bpf_link *made)
{
	hook = made;
	return made ? 0 : -errno;
}

static bool ran(void)
{
	return *(volatile unsigned long long *)&seen->times;
}

static int wait_ran(void)
{
	for (int ms = 0; ms < PATIENCE_MS && !ran(); ms += 10)
		usleep(10000);
	return 0;
}

static int by_getpgid(struct bpf_object *object, struct bpf_program *program)
{
	int err = hooked(bpf_program__attach(program));

	if (!err)
		syscall(SYS_getpgid, 0);
	return err;
}

static void child(void)
{
	int pid = fork();

	if (!pid)
		_exit(0);
	waitpid(pid, NULL, 0);
}

static int by_fork(struct bpf_object *object, struct bpf_program *program)
{
	int err = hooked(bpf_program__attach(program));

	if (!err)
		child();
	return err;
}

/* What <sys/sdt.h> writes for a probe without arguments. */
__attribute__((noinline)) void probed(void)
{
	asm volatile("1:	nop\n"
		     "	.pushsection .note.stapsdt, \"\", \"note\"\n"
		     "	.balign 4\n"
		     "	.4byte 3f - 2f, 5f - 4f, 3\n"
		     "2:	.asciz \"stapsdt\"\n"
		     "3:	.balign 4\n"
		     "4:	.8byte 1b, klab_sdt_base, 0\n"
		     "	.asciz \"klab\", \"here\", \"\"\n"
		     "5:	.balign 4\n"
		     "	.popsection\n"
		     "	.pushsection .stapsdt.base, \"a\"\n"
		     "klab_sdt_base: .byte 0\n"
		     "	.popsection\n");
}

static int by_uprobe(struct bpf_object *object, struct bpf_program *program)
{
	LIBBPF_OPTS(bpf_uprobe_opts, opts, .func_name = "probed");
	int err = hooked(bpf_program__attach_uprobe_opts(program, 0, "/proc/self/exe", 0, &opts));

	if (!err)
		probed();
	return err;
}

static int by_usdt(struct bpf_object *object, struct bpf_program *program)
{
	int err = hooked(bpf_program__attach_usdt(program, 0, "/proc/self/exe", "klab", "here", NULL));

	if (!err)
		probed();
	return err;
}

/* By the kernel's own clock: a guest that is emulated has no counters. */
static int by_clock(struct bpf_object *object, struct bpf_program *program)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.freq = 1,
		.sample_freq = 1000,
	};
	int fd = syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
	int err = fd < 0 ? -errno : hooked(bpf_program__attach_perf_event(program, fd));

	for (long n = 0; !err && n < 100 * PATIENCE_MS && !ran(); n++)
		syscall(SYS_getpgid, 0);
	return err;
}

static int by_iterator(struct bpf_object *object, struct bpf_program *program)
{
	int fd, err = hooked(bpf_program__attach_iter(program, NULL));
	char text[16] = "";

	if (err)
		return err;
	fd = bpf_iter_create(bpf_link__fd(hook));
	if (fd < 0)
		return fd;
	err = read(fd, text, sizeof(text) - 1) < 0 ? -errno : strncmp(text, "task", 4) ? NOT_FELT : 0;
	close(fd);
	return err;
}

static int by_exec(struct bpf_object *object, struct bpf_program *program)
{
	int pid, status, err = hooked(bpf_program__attach(program));

	if (err)
		return err;
	pid = fork();
	if (!pid) {
		execl("/bin/sh", "sh", "-c", ":", NULL);
		_exit(errno);
	}
	waitpid(pid, &status, 0);
	return WEXITSTATUS(status) == EPERM ? 0 : NOT_FELT;
}

/* A socket on this machine, with a port of its own unless one is given. */
static int at_home(int type, struct sockaddr_in *address)
{
	int fd = socket(AF_INET, type, 0);
	socklen_t size = sizeof(*address);

	*address = (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	bind(fd, (struct sockaddr *)address, size);
	getsockname(fd, (struct sockaddr *)address, &size);
	if (type == SOCK_STREAM)
		listen(fd, 1);
	return fd;
}

static int packet_is_dropped(void)
{
	struct sockaddr_in address;
	int to = at_home(SOCK_DGRAM, &address), from = socket(AF_INET, SOCK_DGRAM, 0);
	char text[4];
	int got;

	sendto(from, "klab", 4, 0, (struct sockaddr *)&address, sizeof(address));
	wait_ran();
	got = recv(to, text, sizeof(text), MSG_DONTWAIT);
	close(from);
	close(to);
	return got < 0 ? 0 : NOT_FELT;
}

static int by_xdp(struct bpf_object *object, struct bpf_program *program)
{
	int err = hooked(bpf_program__attach_xdp(program, if_nametoindex("lo")));

	return err ? err : packet_is_dropped();
}

static int by_tc(struct bpf_object *object, struct bpf_program *program)
{
	LIBBPF_OPTS(bpf_tc_hook, place, .ifindex = if_nametoindex("lo"), .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = bpf_program__fd(program));
	int err = bpf_tc_hook_create(&place);

	if (err)
		return err;
	err = bpf_tc_attach(&place, &opts);
	if (!err)
		err = packet_is_dropped();
	place.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS; /* the whole qdisc */
	bpf_tc_hook_destroy(&place);
	return err;
}

static int by_tcx(struct bpf_object *object, struct bpf_program *program)
{
	int err = hooked(bpf_program__attach_tcx(program, if_nametoindex("lo"), NULL));

	return err ? err : packet_is_dropped();
}

static int by_netfilter(struct bpf_object *object, struct bpf_program *program)
{
	LIBBPF_OPTS(bpf_netfilter_opts, opts, .pf = NFPROTO_IPV4, .hooknum = NF_INET_LOCAL_IN, .priority = 1);
	int err = hooked(bpf_program__attach_netfilter(program, &opts));

	return err ? err : packet_is_dropped();
}

static int by_message(struct bpf_object *object, struct bpf_program *program)
{
	int pair[2], fd = bpf_program__fd(program), err = 0;
	char text[4];

	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair))
		return -errno;
	if (setsockopt(pair[1], SOL_SOCKET, SO_ATTACH_BPF, &fd, sizeof(fd)))
		err = -errno;
	else if (send(pair[0], "klab", 4, 0) < 0 || recv(pair[1], text, sizeof(text), MSG_DONTWAIT) != 1)
		err = NOT_FELT;
	close(pair[0]);
	close(pair[1]);
	return err;
}

static int by_connect(struct bpf_object *object, struct bpf_program *program)
{
	int fd, place = open(CGROUPS, O_RDONLY), err = hooked(bpf_program__attach_cgroup(program, place));
	struct sockaddr_in address;

	close(place);
	if (err)
		return err;
	fd = at_home(SOCK_DGRAM, &address);
	err = connect(fd, (struct sockaddr *)&address, sizeof(address)) && errno == EPERM ? 0 : NOT_FELT;
	close(fd);
	return err;
}

static int into_sockmap(struct bpf_object *object, int fd)
{
	unsigned int first = 0;
	unsigned long long value = fd;

	return bpf_map_update_elem(bpf_object__find_map_fd_by_name(object, "sockets"), &first, &value, 0);
}

/* A connection to a port where nobody listens is one to a listener on another. */
static int by_lookup(struct bpf_object *object, struct bpf_program *program)
{
	struct sockaddr_in address;
	int listener = at_home(SOCK_STREAM, &address), client = socket(AF_INET, SOCK_STREAM, 0);
	int space = open("/proc/self/ns/net", O_RDONLY), err = into_sockmap(object, listener);

	if (!err)
		err = hooked(bpf_program__attach_netns(program, space));
	address.sin_port = htons(TELLTALE);
	if (!err && connect(client, (struct sockaddr *)&address, sizeof(address)))
		err = NOT_FELT;
	close(client);
	close(listener);
	close(space);
	return err;
}

static int by_send(struct bpf_object *object, struct bpf_program *program)
{
	struct sockaddr_in address;
	int listener = at_home(SOCK_STREAM, &address), client = socket(AF_INET, SOCK_STREAM, 0);
	int map = bpf_object__find_map_fd_by_name(object, "sockets");
	int err = bpf_prog_attach(bpf_program__fd(program), map, BPF_SK_MSG_VERDICT, 0);

	if (!err && connect(client, (struct sockaddr *)&address, sizeof(address)))
		err = -errno;
	if (!err)
		err = into_sockmap(object, client);
	if (!err)
		err = send(client, "klab", 4, 0) < 0 && errno == EACCES ? 0 : NOT_FELT;
	close(client);
	close(listener);
	return err;
}

static int by_congestion(struct bpf_object *object, struct bpf_program *program)
{
	struct sockaddr_in address;
	int listener, client, err;

	err = hooked(bpf_map__attach_struct_ops(bpf_object__find_map_by_name(object, "ops")));
	if (err)
		return err;
	listener = at_home(SOCK_STREAM, &address);
	client = socket(AF_INET, SOCK_STREAM, 0);
	if (setsockopt(client, IPPROTO_TCP, TCP_CONGESTION, "klab", 4) ||
	    connect(client, (struct sockaddr *)&address, sizeof(address)))
		err = -errno;
	close(client);
	close(listener);
	return err;
}

static bool scheduler_is(const char *wanted)
{
	char state[32] = "";
	int fd = open(SCHED_EXT, O_RDONLY);

	if (fd >= 0) {
		read(fd, state, sizeof(state) - 1);
		close(fd);
	}
	return !strncmp(state, wanted, strlen(wanted));
}

static int by_schedule(struct bpf_object *object, struct bpf_program *program)
{
	int err = hooked(bpf_map__attach_struct_ops(bpf_object__find_map_by_name(object, "ops")));
	bool enabled;

	if (err)
		return err;
	enabled = scheduler_is("enabled");
	child();
	wait_ran();
	bpf_link__destroy(hook);
	hook = NULL;
	return enabled && scheduler_is("disabled") ? 0 : NOT_FELT;
}

static const struct type {
	const char *name, *object;
	int (*run)(struct bpf_object *object, struct bpf_program *program);
} types[] = {
	{ "kprobe", "trace", by_getpgid },
	{ "kprobe_multi", "trace", by_getpgid },
	{ "fentry", "typed", by_getpgid },
	{ "tracepoint", "trace", by_fork },
	{ "raw_tracepoint", "trace", by_fork },
	{ "tp_btf", "typed", by_fork },
	{ "uprobe", "trace", by_uprobe },
	{ "usdt", "trace", by_usdt },
	{ "perf_event", "trace", by_clock },
	{ "iter", "typed", by_iterator },
	{ "lsm", "typed", by_exec },
	{ "socket_filter", "net", by_message },
	{ "xdp", "net", by_xdp },
	{ "tc", "net", by_tc },
	{ "tcx", "net", by_tcx },
	{ "netfilter", "net", by_netfilter },
	{ "cgroup", "net", by_connect },
	{ "sk_lookup", "net", by_lookup },
	{ "sockmap", "net", by_send },
	{ "struct_ops", "tcp", by_congestion },
	{ "sched_ext", "sched", by_schedule },
};

/* Of libbpf's own warnings the first is the cause, the others are its consequence. */
static int keep_warning(enum libbpf_print_level level, const char *format, va_list words)
{
	if (level == LIBBPF_WARN && !*warning)
		vsnprintf(warning, sizeof(warning), format, words);
	return 0;
}

/* The verifier's last line but its statistics, or else what libbpf says. */
static const char *reason(void)
{
	static const char brand[] = "libbpf: ";
	char *line, *last = NULL;

	for (line = strtok(kernel_log, "\n"); line; line = strtok(NULL, "\n"))
		if (strncmp(line, "processed ", 10))
			last = line;
	warning[strcspn(warning, "\n")] = 0;
	if (last || !*warning)
		return last;
	return strncmp(warning, brand, strlen(brand)) ? warning : warning + strlen(brand);
}

static const char *name_of(int error)
{
	static char number[32];
	const char *name = error == 524 ? "ENOTSUPP" : strerrorname_np(error);

	snprintf(number, sizeof(number), "error %d", error);
	return name ? name : number;
}

static int try(const struct type *type, const char *folder)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .kernel_log_buf = kernel_log,
		    .kernel_log_size = sizeof(kernel_log));
	struct bpf_program *program;
	struct bpf_object *object;
	char path[256];
	size_t size;
	int err;

	*kernel_log = *warning = 0;
	snprintf(path, sizeof(path), "%s/%s.bpf.o", folder, type->object);
	object = bpf_object__open_file(path, &opts);
	if (!object)
		return -errno;
	program = bpf_object__find_program_by_name(object, type->name);
	if (program)
		bpf_program__set_autoload(program, true);
	err = bpf_object__load(object);
	if (!err) {
		seen = bpf_map__initial_value(bpf_object__find_map_by_name(object, ".bss"), &size);
		seen->pid = getpid();
		err = type->run(object, program);
		if (!err && !ran())
			err = NOT_FELT;
		bpf_link__destroy(hook);
		hook = NULL;
	}
	bpf_object__close(object);
	return err;
}

int main(int argc, char **argv)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };

	ioctl(socket(AF_INET, SOCK_DGRAM, 0), SIOCSIFFLAGS, &lo);
	mount("trace", "/sys/kernel/tracing", "tracefs", 0, NULL);
	mount("cgroup", CGROUPS, "cgroup2", 0, NULL);
	libbpf_set_print(keep_warning);
	for (size_t n = 0; argc > 1 && n < sizeof(types) / sizeof(*types); n++) {
		int err = try(&types[n], argv[1]);
		const char *why;

		if (err < 0) {
			why = reason();
			printf("%s: no, %s: %s\n", types[n].name, name_of(-err), why ? why : "(no reason given)");
		} else {
			printf("%s: %s\n", types[n].name, err ? "no, attached, but it did not run" : "ran");
		}
		fflush(stdout);
	}
	return 0;
}
