// SPDX-License-Identifier: GPL-2.0-only
/*
 * silo: two silos with eight bins each, and what is put into them.
 *
 * echo "SILO frame HEX" >/proc/silo          a frame comes in (bin, amount and their sum, such as 03070a)
 * echo "SILO repeat COUNT HEX" >/proc/silo   the same frame comes in again and again
 * echo "SILO drain BIN" >/proc/silo          a bin is emptied
 * echo "SILO level" >/proc/silo              an old command, which does nothing any more
 * cat /proc/silo                             what lies in the bins
 */
#include <linux/err.h>
#include <linux/hex.h>
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/platform_device.h>
#include <linux/printk.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "silo.h"

#define LONGEST 64 /* bytes of a command */
#define WIRE 8 /* bytes that come over the wire at once */

static struct platform_device *devices[SILOS];
static struct silo *silos[SILOS];
static DEFINE_MUTEX(lock);

static noinline void silo_audit(struct silo *silo)
{
	unsigned int n, sum = 0;

	for (n = 0; n < BINS; n++)
		sum += silo->held[n];
	printk("silo %u: sum of all bins: %u\n", silo->number, sum);
}

noinline void silo_put(struct silo *silo, unsigned int bin, unsigned int amount)
{
	unsigned int held = silo->held[bin], fits = min(amount, ROOM - held);

	printk("silo %u: bin %u: %u and %u make %u\n", silo->number, bin, held, fits, held + fits);
	silo->held[bin] = held + fits;
	if (fits < amount)
		printk("silo %u: bin %u is full, %u left out\n", silo->number, bin, amount - fits);
	silo_audit(silo);
}

static void silo_drain(struct silo *silo, unsigned int bin)
{
	printk("silo %u: bin %u drained of %u\n", silo->number, bin, silo->held[bin]);
	silo->held[bin] = 0;
}

static int frames(struct silo *silo, unsigned int count, const char *hex)
{
	size_t length = strlen(hex) / 2;
	u8 bytes[WIRE];

	if (length > sizeof(bytes) || hex2bin(bytes, hex, length))
		return -EINVAL;
	/* What is wrong with a frame is nothing that whoever wrote it here should know. */
	while (count--)
		silo_frame(silo, bytes, length);
	return 0;
}

static int command(struct silo *silo, const char *verb, const char *one, const char *two)
{
	unsigned int number;

	if (!strcmp(verb, "frame"))
		return frames(silo, 1, one);
	if (!strcmp(verb, "repeat"))
		return kstrtouint(one, 0, &number) ? -EINVAL : frames(silo, number, two);
	if (!strcmp(verb, "drain")) {
		if (kstrtouint(one, 0, &number) || number >= BINS)
			return -EINVAL;
		silo_drain(silo, number);
		return 0;
	}
	if (!strcmp(verb, "level")) {
		printk("silo %u: 'level' is deprecated, read /proc/silo\n", silo->number);
		return 0;
	}
	return -EINVAL;
}

static ssize_t silo_write(struct file *file, const char __user *from, size_t count, loff_t *at)
{
	char text[LONGEST], verb[8] = "", one[20] = "", two[20] = "";
	unsigned int number;
	int error;

	if (count >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, from, count))
		return -EFAULT;
	text[count] = '\0';
	if (sscanf(text, "%u %7s %19s %19s", &number, verb, one, two) < 2 || number >= SILOS)
		return -EINVAL;
	mutex_lock(&lock);
	error = command(silos[number], verb, one, two);
	mutex_unlock(&lock);
	return error ? error : count;
}

static int silo_show(struct seq_file *to, void *unused)
{
	unsigned int number, bin;

	mutex_lock(&lock);
	for (number = 0; number < SILOS; number++) {
		for (bin = 0; bin < BINS; bin++)
			seq_printf(to, "%u ", silos[number]->held[bin]);
		seq_putc(to, '\n');
	}
	mutex_unlock(&lock);
	return 0;
}

static int silo_open(struct inode *inode, struct file *file)
{
	return single_open(file, silo_show, NULL);
}

static const struct proc_ops silo_ops = {
	.proc_open = silo_open,
	.proc_read = seq_read,
	.proc_lseek = seq_lseek,
	.proc_release = single_release,
	.proc_write = silo_write,
};

static noinline int silo_probe(struct platform_device *device)
{
	struct silo *silo = devm_kzalloc(&device->dev, sizeof(*silo), GFP_KERNEL);

	if (!silo)
		return -ENOMEM;
	silo->dev = &device->dev;
	silo->number = device->id;
	silos[device->id] = silo;
	printk("silo %u: %zu bytes for its state\n", silo->number, sizeof(*silo));
	printk("silo %u: %u bins of %u\n", silo->number, BINS, ROOM);
	return 0;
}

static struct platform_driver driver = {
	.probe = silo_probe,
	.driver = { .name = "silo" },
};

static void remove_all(void)
{
	unsigned int n;

	for (n = 0; n < SILOS; n++)
		platform_device_unregister(devices[n]);
	platform_driver_unregister(&driver);
}

static int __init silo_init(void)
{
	int error = platform_driver_register(&driver);
	unsigned int n;

	if (error)
		return error;
	for (n = 0; n < SILOS; n++) {
		devices[n] = platform_device_register_simple("silo", n, NULL, 0);
		if (IS_ERR(devices[n])) {
			error = PTR_ERR(devices[n]);
			devices[n] = NULL;
			break;
		}
	}
	if (!error && !(silos[0] && silos[1] && proc_create("silo", 0600, NULL, &silo_ops)))
		error = -ENODEV;
	if (error)
		remove_all();
	return error;
}

static void __exit silo_exit(void)
{
	remove_proc_entry("silo", NULL);
	remove_all();
}

module_init(silo_init);
module_exit(silo_exit);
MODULE_DESCRIPTION("klab: silos that talk too much");
MODULE_LICENSE("GPL");
