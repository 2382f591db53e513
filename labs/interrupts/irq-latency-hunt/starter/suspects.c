// SPDX-License-Identifier: GPL-2.0-only
/*
 * suspects: an interrupt handler, a timer, a tasklet, two work items and a section without
 * interrupts. All are busy now and then, for some 40 us; the one that `slow` names takes `ms` each
 * time. The second work item always takes long, but sleeps.
 */
#include <linux/delay.h>
#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/kthread.h>
#include <linux/math64.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/sched/clock.h>
#include <linux/timer.h>
#include <linux/workqueue.h>

#include "names.h"

#define PERIOD_MS 200
#define EDU_CAUSES 0x24
#define EDU_RAISE 0x60
#define EDU_ACKNOWLEDGE 0x64

static char *slow = "nothing";
module_param(slow, charp, 0444);
MODULE_PARM_DESC(slow, "which one is slow: irq, timer, tasklet, work, irqs-off or nothing");

static unsigned int ms = 20;
module_param(ms, uint, 0444);
MODULE_PARM_DESC(ms, "how slow, in ms");

static unsigned int nap_ms = 60;
module_param(nap_ms, uint, 0444);
MODULE_PARM_DESC(nap_ms, "how long the second work item sleeps, in ms");

static void __iomem *regs;
static struct task_struct *beat;

static unsigned int took_ms;
module_param(took_ms, uint, 0444);
MODULE_PARM_DESC(took_ms, "how long the slow one took on average, in ms");

static __always_inline void busy(const char *who)
{
	static unsigned int times;
	static u64 whole;
	u64 begin = local_clock(), took;

	udelay(40);
	if (strcmp(slow, who))
		return;
	/* One end for all of it: a sum of short delays grows where the CPU itself is emulated. */
	do {
		barrier();
		took = local_clock() - begin;
	} while (took < ms * NSEC_PER_MSEC);
	whole += took;
	WRITE_ONCE(took_ms, div_u64(whole, ++times * NSEC_PER_MSEC));
}

static void TASKLET_FN(struct tasklet_struct *unused)
{
	busy("tasklet");
}
static DECLARE_TASKLET(tasklet, TASKLET_FN);

static irqreturn_t suspects_interrupt(int irq, void *data)
{
	u32 causes = ioread32(regs + EDU_CAUSES);

	if (!causes)
		return IRQ_NONE;
	iowrite32(causes, regs + EDU_ACKNOWLEDGE);
	busy("irq");
	tasklet_schedule(&tasklet);
	return IRQ_HANDLED;
}

static void TIMER_FN(struct timer_list *timer)
{
	busy("timer");
	mod_timer(timer, jiffies + msecs_to_jiffies(PERIOD_MS));
}
static DEFINE_TIMER(timer, TIMER_FN);

static void WORK_FN(struct work_struct *unused)
{
	busy("work");
}
static DECLARE_WORK(work, WORK_FN);

static void NAP_FN(struct work_struct *unused)
{
	msleep(nap_ms);
}
static DECLARE_WORK(nap, NAP_FN);

static noinline void HOLD_FN(void)
{
	local_irq_disable();
	busy("irqs-off");
	local_irq_enable();
}

static int suspects_beat(void *unused)
{
	while (!kthread_should_stop()) {
		iowrite32(1, regs + EDU_RAISE);
		queue_work(system_wq, &work);
		queue_work(system_wq, &nap);
		HOLD_FN();
		msleep_interruptible(PERIOD_MS);
	}
	return 0;
}

static int suspects_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	int error;

	if (regs) /* one device is enough */
		return -ENODEV;
	error = pcim_enable_device(pdev);
	if (error)
		return error;
	regs = pcim_iomap(pdev, 0, 0);
	if (!regs)
		return -ENOMEM;
	pci_set_master(pdev);
	error = pci_alloc_irq_vectors(pdev, 1, 1, PCI_IRQ_MSI);
	if (error < 0)
		return error;
	error = devm_request_irq(&pdev->dev, pci_irq_vector(pdev, 0), suspects_interrupt, 0, IRQ_NAME, NULL);
	if (error)
		return error;
	mod_timer(&timer, jiffies + 1);
	beat = kthread_run(suspects_beat, NULL, "suspects");
	return PTR_ERR_OR_ZERO(beat);
}

static void suspects_remove(struct pci_dev *pdev)
{
	if (!IS_ERR(beat))
		kthread_stop(beat);
	timer_shutdown_sync(&timer);
	cancel_work_sync(&work);
	cancel_work_sync(&nap);
	devm_free_irq(&pdev->dev, pci_irq_vector(pdev, 0), NULL);
	tasklet_kill(&tasklet);
}

static const struct pci_device_id suspects_ids[] = {
	{ PCI_DEVICE(0x1234, 0x11e8) },
	{ }
};
MODULE_DEVICE_TABLE(pci, suspects_ids);

static struct pci_driver suspects_driver = {
	.name = "suspects",
	.id_table = suspects_ids,
	.probe = suspects_probe,
	.remove = suspects_remove,
};
module_pci_driver(suspects_driver);

MODULE_DESCRIPTION("klab: one of these is slow");
MODULE_LICENSE("GPL");
