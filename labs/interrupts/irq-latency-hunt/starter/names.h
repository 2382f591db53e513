/* SPDX-License-Identifier: GPL-2.0-only */
/* What the suspects are called. Change it as you like; the grader has names of its own. */
#define IRQ_NAME "lane-rx"
#define TIMER_FN sweep_lane
#define TASKLET_FN drain_lane
#define WORK_FN sort_lane
#define NAP_FN await_lane
#define HOLD_FN swap_lane
