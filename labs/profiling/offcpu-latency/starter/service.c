// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * service PLAN DEVICE [CPU]: a worker serves requests, and most of its time it waits. Complete.
 *
 * Each line of PLAN is a request: what it does, and how long that is to take, in microseconds: `sleep 3000 read
 * 2000 …`. DEVICE is read from, and never written to. It begins when it gets SIGUSR1. What it has measured of
 * itself comes on stdout, when all is done: a line for each request, and one for each way to wait.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define REQUESTS 256
#define LINE 512
#define BLOCK (256 << 10)
#define SPAN 1024 /* blocks of the device that are read */

/* Ways to wait. Who is woken late, or is put off the processor, waits in its queue, too. */
enum way { SLEEP, PIPE, LOCK, DISK, WAYS };

static const char *const names[WAYS] = { "sleep", "pipe", "lock", "disk" };

struct helper {
	int ask[2], answer[2];
};

static struct helper feeder_of, holder_of, rival_of;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static double waited[WAYS];
static char *block;
static unsigned int seed;
/* Times of a thread, in microseconds. */
struct times {
	double wall, cpu, queued;
};

static struct {
	char plan[LINE];
	struct times took;
} requests[REQUESTS];
static unsigned int known, given, taken;
static pthread_mutex_t queue = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t more = PTHREAD_COND_INITIALIZER;
static bool closed;
static int device, worker_cpu = 1;

static double now(clockid_t id)
{
	struct timespec time;

	clock_gettime(id, &time);
	return time.tv_sec * 1e6 + time.tv_nsec / 1e3;
}

/* How long this thread has waited in the queue of a processor until now, by the kernel's own account. */
static double in_queue(void)
{
	static __thread int fd = -1;
	unsigned long long ran, waited;
	char text[128] = "";

	if (fd < 0)
		fd = open("/proc/thread-self/schedstat", O_RDONLY);
	if (pread(fd, text, sizeof(text) - 1, 0) < 0 || sscanf(text, "%llu %llu", &ran, &waited) != 2)
		exit(98);
	return waited / 1e3;
}

/* What a thread has had until now, all at one moment: it was not put off the processor in between. */
static struct times so_far(void)
{
	struct times times;

	do {
		times.queued = in_queue();
		times.wall = now(CLOCK_MONOTONIC);
		times.cpu = now(CLOCK_THREAD_CPUTIME_ID);
	} while (times.queued != in_queue());
	return times;
}

static struct times since(struct times begin)
{
	struct times end = so_far();

	return (struct times){ end.wall - begin.wall, end.cpu - begin.cpu, end.queued - begin.queued };
}

static void nap(long us)
{
	const struct timespec time = { .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000 };

	clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
}

static void burn(long us)
{
	double until = now(CLOCK_THREAD_CPUTIME_ID) + us;

	while (now(CLOCK_THREAD_CPUTIME_ID) < until)
		;
}

static void on_worker_cpu(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(worker_cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static void tell(int fd, long us)
{
	if (write(fd, &us, sizeof(us)) != sizeof(us))
		exit(97);
}

static bool told(int fd, long *us)
{
	return read(fd, us, sizeof(*us)) == sizeof(*us);
}

/* Helpers do what they are asked for. No request is under way in them. */
static void *feeder(void *unused)
{
	long us;

	while (told(feeder_of.ask[0], &us)) {
		nap(us);
		tell(feeder_of.answer[1], 0);
	}
	return unused;
}

static void *holder(void *unused)
{
	long us;

	while (told(holder_of.ask[0], &us)) {
		pthread_mutex_lock(&mutex);
		tell(holder_of.answer[1], 0);
		nap(us);
		pthread_mutex_unlock(&mutex);
	}
	return unused;
}

/* Goes before all others on the processor of the worker. */
static void *rival(void *unused)
{
	const struct sched_param first = { .sched_priority = 10 };
	long us;

	on_worker_cpu();
	pthread_setschedparam(pthread_self(), SCHED_FIFO, &first);
	while (told(rival_of.ask[0], &us)) {
		/* In the lower half is how long it naps first. */
		nap(us % 1000000);
		burn(us / 1000000);
	}
	return unused;
}

static void hold(long us)
{
	long held;

	tell(holder_of.ask[1], us);
	/* Until it is held; this is a pipe, so wait here without sleeping in it. */
	while (read(holder_of.answer[0], &held, sizeof(held)) < 0 && errno == EAGAIN)
		;
	pthread_mutex_lock(&mutex);
	pthread_mutex_unlock(&mutex);
}

static void read_disk(long us)
{
	double until = now(CLOCK_MONOTONIC) + us;

	while (now(CLOCK_MONOTONIC) < until) {
		off_t place = (off_t)(rand_r(&seed) % SPAN) * BLOCK;

		if (pread(device, block, BLOCK, place) < 0)
			exit(96);
	}
}

static void step(const char *what, long us)
{
	struct times took = so_far();
	enum way way = SLEEP;
	long any;

	if (!strcmp(what, "sleep")) {
		nap(us);
	} else if (!strcmp(what, "pipe")) {
		way = PIPE;
		tell(feeder_of.ask[1], us);
		told(feeder_of.answer[0], &any);
	} else if (!strcmp(what, "lock")) {
		way = LOCK;
		hold(us);
	} else if (!strcmp(what, "disk")) {
		way = DISK;
		read_disk(us);
	} else if (!strcmp(what, "late")) {
		/* The rival is at it when this thread wakes up. */
		tell(rival_of.ask[1], us * 1000000 + 2000);
		nap(4000);
	} else if (!strcmp(what, "pushed")) {
		tell(rival_of.ask[1], us * 1000000);
		burn(1500);
	} else {
		burn(us);
	}
	took = since(took);
	waited[way] += took.wall - took.cpu - took.queued;
}

/* A request is under way in this thread from the one function to the other. */
__attribute__((noipa)) void request_begin(unsigned int id)
{
	__asm__ volatile("" : : "r"(id));
}

__attribute__((noipa)) void request_end(unsigned int id)
{
	__asm__ volatile("" : : "r"(id));
}

static void serve(unsigned int id)
{
	struct times begin;
	char *state, *what;

	request_begin(id);
	begin = so_far();
	what = strtok_r(requests[id].plan, " \n", &state);
	while (what) {
		step(what, atol(strtok_r(NULL, " \n", &state)));
		what = strtok_r(NULL, " \n", &state);
	}
	requests[id].took = since(begin);
	request_end(id);
}

static void *work(void *unused)
{
	unsigned int id;

	on_worker_cpu();
	in_queue();
	for (;;) {
		pthread_mutex_lock(&queue);
		/* Nobody asks for anything: this is no request's time. */
		while (taken == given && !closed)
			pthread_cond_wait(&more, &queue);
		id = taken;
		if (taken < given)
			taken++;
		else
			id = REQUESTS;
		pthread_mutex_unlock(&queue);
		if (id == REQUESTS)
			return unused;
		serve(id);
	}
}

static void make(struct helper *helper, void *(*function)(void *))
{
	pthread_t thread;

	if (pipe(helper->ask) || pipe(helper->answer) || pthread_create(&thread, NULL, function, NULL))
		exit(95);
}

int main(int argc, char **argv)
{
	FILE *plan = argc >= 3 ? fopen(argv[1], "re") : NULL;
	pthread_t worker;
	sigset_t begin;
	int any;

	sigemptyset(&begin);
	sigaddset(&begin, SIGUSR1);
	sigprocmask(SIG_BLOCK, &begin, NULL);
	device = plan ? open(argv[2], O_RDONLY | O_DIRECT) : -1;
	if (device < 0) {
		perror("service PLAN DEVICE [CPU]");
		return 1;
	}
	if (argc > 3)
		worker_cpu = atoi(argv[3]);
	while (known < REQUESTS && fgets(requests[known].plan, LINE, plan))
		known++;
	if (posix_memalign((void **)&block, 4096, BLOCK))
		return 1;
	make(&feeder_of, feeder);
	make(&holder_of, holder);
	make(&rival_of, rival);
	fcntl(holder_of.answer[0], F_SETFL, O_NONBLOCK);
	pthread_create(&worker, NULL, work, NULL);
	sigwait(&begin, &any);
	puts("begun");
	fflush(stdout);
	while (given < known) {
		pthread_mutex_lock(&queue);
		given++;
		pthread_cond_signal(&more);
		pthread_mutex_unlock(&queue);
		nap(50000);
	}
	pthread_mutex_lock(&queue);
	closed = true;
	pthread_cond_broadcast(&more);
	pthread_mutex_unlock(&queue);
	pthread_join(worker, NULL);
	for (unsigned int id = 0; id < known; id++) {
		struct times took = requests[id].took;

		printf("request %u: %.0f us, processor %.0f, its queue %.0f\n", id, took.wall, took.cpu,
		       took.queued);
	}
	for (int way = 0; way < WAYS; way++)
		printf("%s: %.0f\n", names[way], waited[way]);
	return 0;
}
