// SPDX-License-Identifier: GPL-2.0-only
/*
 * bh: the same work, put off in seven ways. Drives both of QEMU's edu devices.
 *
 * The first device sends messages; each of its causes (BIT of a kind in bhlog.h) asks for the
 * work by one mechanism. The second pulls its line, and has a threaded handler.
 */
#include <linux/bits.h>
#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/workqueue.h>

#include "bhlog.h"

#define EDU_CAUSES 0x24
#define EDU_ACKNOWLEDGE 0x64

static unsigned int delay_ms = 200;
module_param(delay_ms, uint, 0444);
MODULE_PARM_DESC(delay_ms, "how long delayed work waits, in ms");

struct edu {
	struct pci_dev *pdev;
	void __iomem *regs;
	int irq;
	bool second;
};

/*
 * TODO: the mechanisms, BH_TASKLET to BH_DELAYED. Each of them does bhlog_run(kind, may_sleep);
 * may_sleep is true where the work may sleep there, and nowhere else.
 */

/* Of the first device: notes the causes, acknowledges them, and starts what they ask for. */
static irqreturn_t edu_interrupt(int irq, void *data)
{
	struct edu *edu = data;
	u32 causes = ioread32(edu->regs + EDU_CAUSES);

	if (!causes)
		return IRQ_NONE;
	bhlog_event(causes);
	iowrite32(causes, edu->regs + EDU_ACKNOWLEDGE);
	/*
	 * TODO: start the mechanism of each cause. A cause that comes again before its work
	 * has begun is done with it: that is one run. Delayed work runs delay_ms after the
	 * first of them.
	 */
	return IRQ_HANDLED;
}

/* Of the second device, in a thread of its own: does the work, and acknowledges after it. */
static irqreturn_t edu_thread(int irq, void *data)
{
	struct edu *edu = data;
	u32 causes = ioread32(edu->regs + EDU_CAUSES);

	if (!causes)
		return IRQ_NONE;
	/* TODO: the work, BH_THREAD */
	iowrite32(causes, edu->regs + EDU_ACKNOWLEDGE);
	return IRQ_HANDLED;
}

static int edu_request(struct edu *edu)
{
	if (!edu->second)
		return request_irq(edu->irq, edu_interrupt, 0, "bh", edu);
	/* TODO: edu_thread alone, without a hard handler of ours. */
	return 0;
}

static int edu_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	static int found;
	struct edu *edu = devm_kzalloc(&pdev->dev, sizeof(*edu), GFP_KERNEL);
	int error;

	if (!edu)
		return -ENOMEM;
	edu->pdev = pdev;
	edu->second = found++ % 2;
	pci_set_drvdata(pdev, edu);
	error = pci_enable_device(pdev);
	if (error)
		return error;
	error = -ENOMEM;
	edu->regs = pci_iomap(pdev, 0, 0);
	if (!edu->regs)
		goto disable;
	iowrite32(~0, edu->regs + EDU_ACKNOWLEDGE);
	pci_set_master(pdev);
	error = pci_alloc_irq_vectors(pdev, 1, 1, edu->second ? PCI_IRQ_INTX : PCI_IRQ_MSI);
	if (error < 0)
		goto unmap;
	edu->irq = pci_irq_vector(pdev, 0);
	error = edu_request(edu);
	if (error)
		goto free_vectors;
	return 0;

free_vectors:
	pci_free_irq_vectors(pdev);
	pci_intx(pdev, 0);
unmap:
	pci_iounmap(pdev, edu->regs);
disable:
	pci_disable_device(pdev);
	return error;
}

static void edu_remove(struct pci_dev *pdev)
{
	struct edu *edu = pci_get_drvdata(pdev);

	/* TODO: the second device has an interrupt, too, once you have requested it. */
	if (!edu->second)
		free_irq(edu->irq, edu);
	pci_free_irq_vectors(pdev);
	pci_intx(pdev, 0);
	pci_iounmap(pdev, edu->regs);
	pci_disable_device(pdev);
}

static const struct pci_device_id edu_ids[] = {
	{ PCI_DEVICE(0x1234, 0x11e8) },
	{ }
};
MODULE_DEVICE_TABLE(pci, edu_ids);

static struct pci_driver edu_driver = {
	.name = "bh",
	.id_table = edu_ids,
	.probe = edu_probe,
	.remove = edu_remove,
};

static int __init bh_init(void)
{
	/* TODO: queues of your own, if you want some, before the first interrupt can come. */
	return pci_register_driver(&edu_driver);
}

static void __exit bh_exit(void)
{
	/* First nobody starts anything any more. */
	pci_unregister_driver(&edu_driver);
	/* TODO: then nothing that was started may be left, waiting or running, when the code goes. */
}

module_init(bh_init);
module_exit(bh_exit);
MODULE_DESCRIPTION("klab: bottom halves");
MODULE_LICENSE("GPL");
