# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a kernel did not compile: the cause by name, found in make's log."""

from __future__ import annotations

import re
from pathlib import Path

from klab.errors import KlabError

MEMORY = (
    "stop what else takes memory, add memory or swap, or compile with fewer jobs: KLAB_JOBS=1; "
    "the next run goes on where this one stood"
)
# Tried in this order: an out-of-memory kill also looks like a crash and a failed link.
CAUSES: tuple[tuple[re.Pattern[str], str, str], ...] = (
    (
        re.compile(
            r"Killed signal terminated program (?P<who>\S+)"
            r"|(?P<linker>collect2|ld|ld\.lld)\S*: .*terminated with signal 9"
            r"|^(?P<tool>cc1|as|ld|ld\.lld|pahole|clang|objtool)\S*:.*"
            r"(?:out of memory|memory exhausted|Cannot allocate memory)"
            r"|LLVM ERROR: out of memory|virtual memory exhausted|std::bad_alloc"
            r"|^Killed$|: \d+ Killed\b|\*\*\* \[[^\]]*\] (?:Error 137|Killed)",
            re.MULTILINE,
        ),
        "the machine ran out of memory: {who} was killed",
        MEMORY,
    ),
    (
        re.compile(r"^(?P<who>\S+?):.*internal compiler error: (?P<why>.*)$", re.MULTILINE),
        "the compiler crashed on {who}",
        "start again; if it crashes there again, report it with the log, and if elsewhere, test the memory",
    ),
    (
        re.compile(
            r"Failed to generate BTF for vmlinux|^pahole: .*|: pahole .*is not available", re.MULTILINE
        ),
        "pahole could not write the type information (BTF)",
        "look for pahole's own message in the log; a kernel newer than pahole needs a newer toolchain "
        "(labs/_kernels/toolchain.yml), or a flavour without DEBUG_INFO_BTF",
    ),
    (
        re.compile(
            r"^(?P<who>[^\s:]+):\d+(?::\d+)?: (?:fatal )?error: .*|^(?P<tool>[^\s:]+): #error", re.MULTILINE
        ),
        "{who} does not compile",
        "mend the source or its patch, or take the symbol that wants this file out of the flavour; "
        "the next run goes on where this one stood",
    ),
)


def _last_run(log: Path) -> str:
    """What the log's last command printed."""
    try:
        text = log.read_text(errors="replace")
    except OSError:
        return ""
    return text[max(text.rfind("\n# to repeat: "), 0) :].split("\n", 2)[-1]


def named(error: KlabError, log: Path) -> KlabError:
    """The error of a failed make with its cause named, or as it was when no cause is known."""
    if "disk space" in error.what:
        return error
    said = _last_run(log)
    for pattern, what, mend in CAUSES:
        if found := pattern.search(said):
            who = next((part for part in found.groupdict().values() if part), "a program")
            lines = said.splitlines()
            at = said[: found.start()].count("\n")
            shown = "\n".join(lines[max(at - 2, 0) : at + 4])
            return KlabError(f"{what.format(who=who)}:\n{shown}", step=error.step, log=log, mend=mend)
    return error
