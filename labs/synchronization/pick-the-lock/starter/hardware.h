/* SPDX-License-Identifier: GPL-2.0-only */
/* The device that feed drives; hardware.c plays it. */
#ifndef HARDWARE_H
#define HARDWARE_H

#include <linux/types.h>

/* Converters that work at the same time. One more breaks the device. */
unsigned int hardware_channels(void);

/*
 * From now on each item that arrives is handed to arrived(), by the device's interrupt. When it
 * returns false, the device keeps the item and tries again later.
 */
void hardware_start(bool (*arrived)(u32 item));

/* arrived() is not called any more, and not running, when this returns. */
void hardware_stop(void);

/* An access to the device's memory takes its time: some microseconds, spent spinning. */
void hardware_settle(void);

/* Convert an item, on one of the channels. Sleeps. */
void hardware_convert(u32 item);

/* Burn a label into the device. Sleeps. Two at a time break it. */
void hardware_burn(const char *label);

#endif
