// SPDX-License-Identifier: GPL-3.0-or-later
// Burns CPU time in a function that a profile must name, for about a second.
#include <time.h>

volatile unsigned long sink;

__attribute__((noinline)) void klab_spin(unsigned long rounds)
{
	while (rounds--)
		sink += rounds * 3;
}

int main(void)
{
	while (clock() < CLOCKS_PER_SEC)
		klab_spin(100000);
	return 0;
}
