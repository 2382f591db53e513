# SPDX-License-Identifier: GPL-3.0-or-later
"""Debuggees: guests that stay, with a line for KGDB, QEMU's gdb stub, and a console.

They go on from the kept states of klab.guest; what is in one is gone when it is put down.
"""
