# SPDX-License-Identifier: GPL-3.0-or-later
"""crash and drgn on a dump, with its kernel's symbols. Both are those of the root `debug`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from klab.debuggee import model
from klab.debuggee.dumps import LIVE, PLACE, VMCORE, Dump
from klab.debuggee.model import HERE, STEP
from klab.errors import KlabError
from klab.kernel import root, symbols

VC_STACKS = "CONFIG_AMD_MEM_ENCRYPT=y"  # crash 8.0.6 reads stacks of 0 bytes where it is not


def words(dump: Dump, tool: str, more: Sequence[str] = ()) -> tuple[list[str], dict[str, str]]:
    """crash's or drgn's command line on a dump, and its environment. more: words of the caller's.

    Raises KlabError when the tool cannot open it.
    """
    kernel = dump.artefact()
    if tool == "crash" and dump.how == LIVE and VC_STACKS not in kernel.file("config").read_text():
        raise KlabError(
            f"crash cannot open {dump.name}: it looks for a panic on all stacks, and fails at those of"
            f" #VC exceptions, for which this kernel has no room ({VC_STACKS} is not set)",
            step=STEP,
            mend="klab dump drgn; crash opens what a panic leaves: klab debuggee up --kdump",
        )
    vmlinux = symbols.ensure(model.symbols(kernel, dump.flavour))
    binds = {symbols.PLACE: vmlinux.parent, PLACE: dump.vmcore.parent, HERE: Path.cwd()}
    tools = root.ready(symbols.ROOT).with_binds(binds)
    core, names = f"{PLACE}/{VMCORE}", f"{symbols.PLACE}/{symbols.NAME}"
    named = {"crash": ["crash", *more, names, core], "drgn": ["drgn", "-c", core, "-s", names, *more]}
    line = ["sh", "-c", f'cd {HERE} && exec "$@"', "klab", *named[tool]]
    return tools.argv(line), tools.env()
