/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What this wreck calls its functions, in which order they take their arguments, and how big some things are.
 * The grader's wrecks have other names, orders and sizes, and their lines are elsewhere.
 */
#ifndef NAMES_H
#define NAMES_H

/* What it does while all is well. */
#define STEP_0 hoist_sails
#define STEP_1 sound_depth
#define STEP_2 steer_north
#define STEP_3 steer_south
#define STEP_4 strike_bell
#define STEP_5 swab_deck
#define STEP_6 trim_ballast
#define STEP_7 write_log

/* What it does last. */
#define NEAR_FN count_boats
#define FAR_FN count_leaks
#define FREED_FN stow_crate
#define WEIGHT_FN read_scale
#define TEXT_FN open_crate
#define BUG_FN compare_draught
#define STACK_FN descend_hold
#define HUNG_FN await_pilot
#define SOFT_FN drift_along
#define HARD_FN lie_becalmed

/* A pointer and two numbers, in any order. */
#define NEAR_ARGS(p, a, b) p, a, b
#define FAR_ARGS(p, a, b) a, p, b
#define FREED_ARGS(p, a, b) a, b, p
#define TEXT_ARGS(p, a, b) p, a, b

#define HULL 4800 /* bytes of a hull before its leaks */
#define CABIN 480 /* bytes of a stack frame */
#define LABEL "FRAGILE: THIS SIDE UP, KEEP DRY" /* longer than the place for it */

#endif
