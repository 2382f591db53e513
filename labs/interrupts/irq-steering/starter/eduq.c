// SPDX-License-Identifier: GPL-2.0-only
/*
 * eduq: takes the part of a network card with two queues. Each of QEMU's edu devices is a queue
 * with an MSI vector of its own, under the name that the parameter `names` gives it.
 */
#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/module.h>
#include <linux/pci.h>

#define EDU_CAUSES 0x24
#define EDU_ACKNOWLEDGE 0x64

static char *names[2] = { "eduq", "eduq-1" };
module_param_array(names, charp, NULL, 0444);
MODULE_PARM_DESC(names, "names of the two interrupts");

static void __iomem *queues[2];

static irqreturn_t eduq_interrupt(int irq, void *data)
{
	void __iomem *regs = *(void __iomem **)data;
	u32 causes = ioread32(regs + EDU_CAUSES);

	if (!causes)
		return IRQ_NONE;
	iowrite32(causes, regs + EDU_ACKNOWLEDGE);
	return IRQ_HANDLED;
}

static int eduq_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	int queue = !!queues[0];
	int error = pcim_enable_device(pdev);

	if (error)
		return error;
	queues[queue] = pcim_iomap(pdev, 0, 0);
	if (!queues[queue])
		return -ENOMEM;
	pci_set_master(pdev);
	iowrite32(~0, queues[queue] + EDU_ACKNOWLEDGE);
	error = pci_alloc_irq_vectors(pdev, 1, 1, PCI_IRQ_MSI);
	if (error < 0)
		return error;
	return devm_request_irq(&pdev->dev, pci_irq_vector(pdev, 0), eduq_interrupt, 0, names[queue],
				&queues[queue]);
}

static const struct pci_device_id eduq_ids[] = {
	{ PCI_DEVICE(0x1234, 0x11e8) },
	{ }
};
MODULE_DEVICE_TABLE(pci, eduq_ids);

static struct pci_driver eduq_driver = {
	.name = "eduq",
	.id_table = eduq_ids,
	.probe = eduq_probe,
};
module_pci_driver(eduq_driver);

MODULE_DESCRIPTION("klab: two queues with an interrupt each");
MODULE_LICENSE("GPL");
