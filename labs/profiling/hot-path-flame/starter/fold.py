#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""fold.py <TEXT >FOLDED: makes one line of each stack that `perf script` shows.

    NAME;OUTERMOST;…;INNERMOST COUNT

NAME is what the thread is called, with its blanks; then come the functions, from the one that called all
others to the one in which the sample was taken; COUNT is how many samples have exactly this stack. A function
is named without its offset. Behind one of the kernel's (its addresses begin with ffff) stands `_[k]`. For one
that nobody knows ([unknown]) the file's name stands in brackets, without its folder: [libc.so.6]; where the
file is not known either, or has brackets already, they are not doubled. The lines are sorted.
"""

import sys


def folded(lines):
    """{stack: samples}."""
    # TODO
    return {}


if __name__ == "__main__":
    for stack, count in sorted(folded(sys.stdin).items()):
        print(stack, count)
