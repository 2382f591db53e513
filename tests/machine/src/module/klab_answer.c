// SPDX-License-Identifier: GPL-2.0-only
// A module with an effect that can be seen: /proc/klab_answer holds twice `value`.
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>

static int value = 1;
module_param(value, int, 0444);
MODULE_PARM_DESC(value, "half of the answer");

// Of our own, so that it can be found in the module's own BTF.
struct klab_answer {
	int twice;
};

static struct klab_answer answer;

static int answer_show(struct seq_file *file, void *unused)
{
	seq_printf(file, "%d\n", answer.twice);
	return 0;
}

static int __init answer_init(void)
{
	answer.twice = 2 * value;
	return proc_create_single("klab_answer", 0444, NULL, answer_show) ? 0 : -ENOMEM;
}

static void __exit answer_exit(void)
{
	remove_proc_entry("klab_answer", NULL);
}

module_init(answer_init);
module_exit(answer_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("klab's proof that modules build, load, act and unload");
