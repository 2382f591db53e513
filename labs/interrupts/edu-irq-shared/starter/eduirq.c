// SPDX-License-Identifier: GPL-2.0-only
/*
 * eduirq: drives QEMU's edu device (PCI 1234:11e8), of which there are two on one interrupt line.
 *
 * Of its registers (BAR 0, 32 bits wide each) this driver needs two:
 *
 *   0x24  read: why the device interrupts, a bit for each cause; 0 when it does not
 *   0x64  write: acknowledge these causes; with the last one the line is let go
 */
#include <linux/bitops.h>
#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/slab.h>

#define EDU_CAUSES 0x24
#define EDU_ACKNOWLEDGE 0x64

static bool msi;
module_param(msi, bool, 0444);
MODULE_PARM_DESC(msi, "use message-signalled interrupts instead of the shared line");

struct edu {
	struct pci_dev *pdev;
	void __iomem *regs;
	int irq;
	/* The handlers of a line run one after the other, so these need no lock. */
	unsigned long handled;	/* interrupts of this device */
	unsigned long declined; /* calls for some other device */
	unsigned long causes;	/* bits that were acknowledged */
};

/* TODO: static irqreturn_t edu_interrupt(int irq, void *data) */

static int edu_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct edu *edu = kzalloc(sizeof(*edu), GFP_KERNEL);

	if (!edu)
		return -ENOMEM;
	edu->pdev = pdev;
	pci_set_drvdata(pdev, edu);
	/*
	 * TODO: enable the device; map BAR 0; drop what the device still wants to say from before;
	 * get one vector, of the kind that `msi` says; request it under the name pci_name(pdev).
	 * An MSI is a write to memory: may the device write?
	 * A step that fails undoes those before it.
	 */
	return 0;
}

static void edu_remove(struct pci_dev *pdev)
{
	struct edu *edu = pci_get_drvdata(pdev);

	/*
	 * TODO: undo all of it, in the opposite order. The line is shared: a device without a driver
	 * must not be able to pull it.
	 */
	kfree(edu);
}

#define EDU_COUNTER(name)                                                                          \
	static ssize_t name##_show(struct device *dev, struct device_attribute *attr, char *to)    \
	{                                                                                          \
		struct edu *edu = dev_get_drvdata(dev);                                            \
                                                                                                   \
		return sysfs_emit(to, "%lu\n", READ_ONCE(edu->name));                              \
	}                                                                                          \
	static DEVICE_ATTR_RO(name)

/* /sys/bus/pci/drivers/eduirq/<device>/handled and so on; there as long as the driver is bound. */
EDU_COUNTER(handled);
EDU_COUNTER(declined);
EDU_COUNTER(causes);

static struct attribute *edu_attrs[] = {
	&dev_attr_handled.attr,
	&dev_attr_declined.attr,
	&dev_attr_causes.attr,
	NULL,
};
ATTRIBUTE_GROUPS(edu);

static const struct pci_device_id edu_ids[] = {
	{ PCI_DEVICE(0x1234, 0x11e8) },
	{ }
};
MODULE_DEVICE_TABLE(pci, edu_ids);

static struct pci_driver edu_driver = {
	.name = "eduirq",
	.id_table = edu_ids,
	.probe = edu_probe,
	.remove = edu_remove,
	.dev_groups = edu_groups,
};
module_pci_driver(edu_driver);

MODULE_DESCRIPTION("klab: interrupts of QEMU's edu device");
MODULE_LICENSE("GPL");
