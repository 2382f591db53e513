// SPDX-License-Identifier: GPL-2.0-only
/*
 * edupoke: makes QEMU's edu devices raise interrupts, beside whatever driver they have.
 *
 * Write "<device> <value> <times>" to /proc/edupoke, devices counted from 0 in the bus's order.
 * Each time, <value> is written to the device's raise register, and then edupoke waits until a
 * driver has acknowledged it. ETIMEDOUT after a second without. With <times> 0 it
 * raises once and does not wait.
 */
#include <linux/delay.h>
#include <linux/io.h>
#include <linux/iopoll.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/proc_fs.h>
#include <linux/uaccess.h>

#define DEVICES 2
#define STATUS 0x24
#define RAISE 0x60

static struct {
	struct mutex lock;
	struct pci_dev *pdev;
	void __iomem *regs;
} edus[DEVICES];

static int poke(unsigned int which, u32 value, unsigned int times)
{
	void __iomem *regs = edus[which].regs;
	u32 status;
	int error = 0;

	mutex_lock(&edus[which].lock);
	if (!times)
		iowrite32(value, regs + RAISE);
	while (times-- && !error) {
		iowrite32(value, regs + RAISE);
		error = read_poll_timeout(ioread32, status, !(status & value), 10, USEC_PER_SEC, false,
					  regs + STATUS);
	}
	mutex_unlock(&edus[which].lock);
	return error;
}

static ssize_t edupoke_write(struct file *file, const char __user *from, size_t count, loff_t *at)
{
	unsigned int which, value, times;
	char text[48];
	int error;

	if (count >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, from, count))
		return -EFAULT;
	text[count] = '\0';
	if (sscanf(text, "%u %i %u", &which, &value, &times) != 3 || which >= DEVICES || !value)
		return -EINVAL;
	error = poke(which, value, times);
	return error ?: count;
}

static const struct proc_ops edupoke_ops = {
	.proc_write = edupoke_write,
};

static void edupoke_forget(void)
{
	for (int i = 0; i < DEVICES; i++) {
		if (edus[i].regs)
			iounmap(edus[i].regs);
		pci_dev_put(edus[i].pdev);
	}
}

static int __init edupoke_init(void)
{
	struct pci_dev *pdev = NULL;
	u16 command;

	for (int i = 0; i < DEVICES; i++) {
		mutex_init(&edus[i].lock);
		pdev = pci_get_device(0x1234, 0x11e8, pdev);
		if (!pdev)
			goto forget;
		edus[i].pdev = pci_dev_get(pdev);
		/* Not pci_enable_device(): that counts, and the driver would never disable the device. */
		pci_read_config_word(pdev, PCI_COMMAND, &command);
		pci_write_config_word(pdev, PCI_COMMAND, command | PCI_COMMAND_MEMORY);
		edus[i].regs = ioremap(pci_resource_start(pdev, 0), PAGE_SIZE);
		if (!edus[i].regs) {
			pci_dev_put(pdev);
			goto forget;
		}
	}
	pci_dev_put(pdev);
	if (proc_create("edupoke", 0200, NULL, &edupoke_ops))
		return 0;
forget:
	edupoke_forget();
	return -ENODEV;
}

static void __exit edupoke_exit(void)
{
	remove_proc_entry("edupoke", NULL);
	edupoke_forget();
}

module_init(edupoke_init);
module_exit(edupoke_exit);
MODULE_DESCRIPTION("klab: makes edu devices raise interrupts");
MODULE_LICENSE("GPL");
