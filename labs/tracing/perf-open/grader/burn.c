// SPDX-License-Identifier: GPL-3.0-or-later
/* Functions that use the processor. They are in the workload itself and in each of its libraries. */
#define BURNS(name, start) \
	__attribute__((noinline)) unsigned long name(unsigned long rounds) \
	{ \
		unsigned long value = start; \
		while (rounds--) { \
			value = value * 6364136223846793005UL + start; \
			__asm__ volatile("" : "+r"(value)); \
		} \
		return value; \
	}

BURNS(first, 11)
BURNS(second, 29)
BURNS(third, 53)
