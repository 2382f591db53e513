# SPDX-License-Identifier: GPL-3.0-or-later
"""Goes behind the kernel's own scripts for gdb (vmlinux-gdb.py): what they and gdb do not agree upon."""

import struct
import tempfile
from pathlib import Path

import gdb
from linux import cpus, symbols, utils

_read = utils.read_memoryview
_find = symbols.LxSymbols._get_module_file
_copies = tempfile.TemporaryDirectory(prefix="klab-gdb-")


def read_memoryview(inferior, start, length):
    """gdb 16 refuses to read no bytes, and lx-dmesg meets messages without a text."""
    return _read(inferior, start, length) if length else memoryview(b"")


def _get_module_file(self, name):
    """A copy of the module whose sections all begin at 0, as gdb expects of what is not linked yet.

    Since 6.10 scripts/module.lds lets `.data` begin elsewhere; gdb then takes all addresses
    for real ones (symfile.c, default_symfile_offsets), and shows functions as variables.
    """
    found = _find(self, name)
    if not found:
        return found
    elf = bytearray(Path(found).read_bytes())
    (table,) = struct.unpack_from("<Q", elf, 0x28)  # elf(5): e_shoff, e_shentsize, e_shnum; sh_addr
    size, count = struct.unpack_from("<HH", elf, 0x3A)
    for number in range(count):
        struct.pack_into("<Q", elf, table + number * size + 16, 0)
    copy = Path(_copies.name) / Path(found).name
    copy.write_bytes(elf)
    return str(copy)


utils.read_memoryview = read_memoryview
symbols.LxSymbols._get_module_file = _get_module_file


HARDWARE = (
    gdb.BP_HARDWARE_BREAKPOINT,
    gdb.BP_HARDWARE_WATCHPOINT,
    gdb.BP_READ_WATCHPOINT,
    gdb.BP_ACCESS_WATCHPOINT,
)


class Watchable(gdb.Command):
    """Let hardware breakpoints and watchpoints of KGDB stop the kernel, and leave it well.

    KGDB keeps its breakpoints as perf events that are off, and turns them on behind perf's back.
    Since perf_swevent_event() looks at an event's state such a one counts, and stops nothing.
    """

    used = False

    def __init__(self):
        super().__init__("klab-watchable", gdb.COMMAND_RUNNING)

    def invoke(self, argument, from_tty):
        """Say of these events that they are on."""
        known = gdb.parse_and_eval("'arch/x86/kernel/kgdb.c'::breakinfo")
        for number in range(4):
            if not int(known[number]["pev"]):
                continue
            for cpu in cpus.each_online_cpu():
                event = int(cpus.per_cpu(known[number]["pev"], cpu))
                gdb.execute(f"set var ((struct perf_event *){event:#x})->state = PERF_EVENT_STATE_ACTIVE")
        gdb.events.breakpoint_created.connect(self.note)
        gdb.execute("define hook-detach\nklab-leave\nend")

    def note(self, breakpoint):
        """Remember that the processor's debug registers were in use."""
        Watchable.used |= breakpoint.type in HARDWARE


class Leave(gdb.Command):
    """Before `detach`: without breakpoints, and the processor knows it.

    exc_debug_kernel() puts back the register that it found, with a breakpoint that was taken
    away meanwhile; the kernel would stop once more, and nobody be there. A step mends it.
    """

    def __init__(self):
        super().__init__("klab-leave", gdb.COMMAND_RUNNING)

    def invoke(self, argument, from_tty):
        """Take all breakpoints away."""
        if Watchable.used:
            gdb.execute("delete")
            gdb.execute("stepi", to_string=True)


Watchable()
Leave()
