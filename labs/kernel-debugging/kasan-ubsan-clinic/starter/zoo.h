/* SPDX-License-Identifier: GPL-2.0-only */
/* How large things are. Change it as you like; the grader has sizes of its own. */
#define CAGE 52
#define BARS 12
#define NOTE 21
#define BOARD 30
#define MEALS 9
