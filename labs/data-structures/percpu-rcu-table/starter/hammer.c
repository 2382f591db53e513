// SPDX-License-Identifier: GPL-2.0-only
/*
 * hammer: reads and writes cfgtable at the same time when it is loaded, and says what it saw:
 * cat /sys/module/hammer/parameters/result
 *
 * Nothing to do here. The grader brings its own copy.
 */
#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/init.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "cfgtable.h"

#define KEYS_MAX 1024

static unsigned int keys = 16;
module_param(keys, uint, 0444);
static unsigned int reads = 2000;
module_param(reads, uint, 0444);
MODULE_PARM_DESC(reads, "reads of each of the two readers");
static unsigned int seed = 1;
module_param(seed, uint, 0444);
static unsigned int patience_ms = 2000;
module_param(patience_ms, uint, 0444);
MODULE_PARM_DESC(patience_ms, "how long a reader stays where it is and waits for a writer");

static char result[512];
module_param_string(result, result, sizeof(result), 0444);

static u32 step(u32 *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 8;
}

/* The last word is a checksum over the key and the words before it. */
static u32 checksum(u32 key, const u32 *words)
{
	u32 sum = key;
	int i;

	for (i = 0; i < CONFIG_WORDS - 1; i++)
		sum = sum * 31 + words[i];
	return sum;
}

static int set(u32 key, u32 *state)
{
	u32 words[CONFIG_WORDS];
	int i;

	for (i = 0; i < CONFIG_WORDS - 1; i++)
		words[i] = step(state);
	words[i] = checksum(key, words);
	return table_set(key, words);
}

static bool whole(const struct config *config)
{
	return config->words[CONFIG_WORDS - 1] == checksum(config->key, config->words);
}

/* A thread on one CPU; at its end it completes `done`. */
struct job {
	struct completion done;
	u32 state;
	unsigned int first; /* a writer's keys: this one and each second one */
	unsigned int torn, wrong, missed, retired;
	u32 key;
};

static struct job jobs[4];
static bool present[KEYS_MAX];

static void start(struct job *job, int (*work)(void *), int cpu)
{
	struct task_struct *thread = kthread_create(work, job, "hammer/%d", cpu);

	init_completion(&job->done);
	if (IS_ERR(thread)) {
		job->wrong++;
		complete(&job->done);
		return;
	}
	kthread_bind(thread, cpu);
	wake_up_process(thread);
}

/* 1. One reader stays inside until a writer has come back. */
static struct completion inside;
static bool written, waited, intact;

static void linger(const struct config *config, void *arg)
{
	struct config before = *config;
	ktime_t until = ktime_add_ms(ktime_get(), patience_ms);

	complete(&inside);
	while (!smp_load_acquire(&written) && ktime_before(ktime_get(), until))
		cpu_relax();
	waited = !smp_load_acquire(&written);
	intact = !memcmp(&before, config, sizeof(before)) && whole(config);
}

static int long_reader(void *arg)
{
	struct job *job = arg;

	if (table_read(0, linger, NULL)) {
		job->wrong++;
		complete(&inside);
	}
	kthread_complete_and_exit(&job->done, 0);
}

static int one_writer(void *arg)
{
	struct job *job = arg;

	job->wrong += set(0, &job->state) != 0;
	smp_store_release(&written, true);
	kthread_complete_and_exit(&job->done, 0);
}

static void remember(const struct config *config, void *arg)
{
	*(u32 *)arg = config->words[0];
}

/* 2. Two readers and two writers. */
static void check(const struct config *config, void *arg)
{
	struct job *job = arg;

	job->torn += config->key != job->key || !whole(config);
}

static int reader(void *arg)
{
	struct job *job = arg;
	unsigned int n;

	for (n = 0; n < reads; n++) {
		job->key = step(&job->state) % keys;
		job->missed += table_read(job->key, check, job) != 0;
		if (n % 16 == 0)
			cond_resched();
	}
	kthread_complete_and_exit(&job->done, 0);
}

static int writer(void *arg)
{
	struct job *job = arg;
	unsigned int n;

	for (n = 0; n < reads / 2; n++) {
		u32 key = (step(&job->state) % keys & ~1u) + job->first;

		if (key >= keys)
			continue;
		if (step(&job->state) % 4) {
			job->wrong += set(key, &job->state) != 0;
			job->retired += present[key];
			present[key] = true;
		} else {
			job->wrong += table_del(key) != (present[key] ? 0 : -ENOENT);
			job->retired += present[key];
			present[key] = false;
		}
		if (n % 8 == 0)
			cond_resched();
	}
	kthread_complete_and_exit(&job->done, 0);
}

static int __init hammer_init(void)
{
	unsigned int torn = 0, wrong = 0, retired = 0, should = 0, n;
	unsigned long freed = table_freed();
	int other = num_online_cpus() > 1; /* with one CPU it shows less, but it works */
	u32 state, first, now = 0;
	u64 counted[2];

	if (keys < 2 || keys > KEYS_MAX)
		return -EINVAL;
	for (n = 0; n < ARRAY_SIZE(jobs); n++)
		jobs[n].state = seed + n;

	wrong += set(0, &jobs[0].state) != 0;
	present[0] = true;
	init_completion(&inside);
	start(&jobs[0], long_reader, other);
	wait_for_completion(&inside);
	start(&jobs[1], one_writer, 0);
	wait_for_completion(&jobs[1].done);
	wait_for_completion(&jobs[0].done);
	retired++;
	state = seed + 1; /* what one_writer began with */
	first = step(&state);
	wrong += table_read(0, remember, &now) != 0;

	counted[0] = table_reads(0);
	counted[1] = table_reads(other);
	jobs[2].first = 0;
	jobs[3].first = 1;
	start(&jobs[0], reader, 0);
	start(&jobs[1], reader, other);
	start(&jobs[2], writer, 0);
	start(&jobs[3], writer, other);
	for (n = 0; n < ARRAY_SIZE(jobs); n++) {
		wait_for_completion(&jobs[n].done);
		torn += jobs[n].torn;
		wrong += jobs[n].wrong;
		retired += jobs[n].retired;
	}
	counted[0] = table_reads(0) - counted[0];
	counted[1] = table_reads(other) - counted[1];
	rcu_barrier();

	for (n = 0; n < keys; n++)
		should += present[n];
	scnprintf(result, sizeof(result),
		  "waited=%d intact=%d new=%d torn=%u wrong=%u reads0=%llu reads1=%llu live=%lu should=%u freed=%lu retired=%u",
		  waited, intact, now == first, torn, wrong, counted[0], counted[1], table_live(), should,
		  table_freed() - freed, retired);
	return 0;
}

static void __exit hammer_exit(void)
{
}

module_init(hammer_init);
module_exit(hammer_exit);
MODULE_DESCRIPTION("klab: reads and writes cfgtable at once");
MODULE_LICENSE("GPL");
