# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the kernel's code is, and whether it is in a kernel with this config.

    where.py TREE CONFIG define NAME...     prints for each: NAME FILE:LINE
    where.py TREE CONFIG built FILE...      prints for each: FILE built-in|module|no

NAME is a function, or sys_NAME for a system call. Of several definitions, the one in a file
that is built for x86 with CONFIG. FILE is a path from TREE, such as fs/ext4/inode.c.
"""

import sys


def built(tree, config, file):
    """Whether `file` is built-in, module or no."""
    return "no"  # TODO


def define(tree, config, name):
    """FILE:LINE of a definition."""
    return "?:0"  # TODO


def main():
    tree, config, what, *names = sys.argv[1:]
    answer = {"built": built, "define": define}[what]
    for name in names:
        print(name, answer(tree, config, name))


main()
