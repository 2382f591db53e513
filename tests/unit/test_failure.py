# SPDX-License-Identifier: GPL-3.0-or-later
"""A failed build says why: what make's log tells, in the words of gcc, ld, pahole and the shell."""

from pathlib import Path

import pytest

from klab.errors import KlabError
from klab.kernel import failure

PLAIN = KlabError("sh ended with exit status 2:\n…", step="kernel_build: compile lab", mend="read the log")


def cause(tmp_path: Path, said: str, before: str = "") -> KlabError:
    log = tmp_path / "log"
    log.write_text(f"# to repeat: sh\n{before}\n# to repeat: make\n  CC      kernel/fork.o\n{said}\n")
    return failure.named(PLAIN, log)


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ("gcc: fatal error: Killed signal terminated program cc1", "cc1 was killed"),
        ("collect2: fatal error: ld terminated with signal 9 [Killed]", "collect2 was killed"),
        ("ld: final link failed: memory exhausted", "ld was killed"),
        ("cc1: out of memory allocating 65536 bytes after a total of 9 bytes", "cc1 was killed"),
        ("scripts/link-vmlinux.sh: line 113: 4242 Killed   pahole -J", "a program was killed"),
        ("make[3]: *** [scripts/Makefile.build:229: mm/slub.o] Error 137", "a program was killed"),
        ("LLVM ERROR: out of memory", "a program was killed"),
    ],
)
def test_too_little_memory(tmp_path: Path, said: str, what: str) -> None:
    error = cause(tmp_path, f"{said}\nmake[2]: *** [Makefile:1900: .] Error 2")
    assert error.what.startswith(f"the machine ran out of memory: {what}")
    assert said in error.what
    assert "KLAB_JOBS=1" in error.mend
    assert error.step == PLAIN.step


@pytest.mark.parametrize(
    ("said", "what", "mend"),
    [
        (
            "mm/slub.c:12:3: internal compiler error: in foo, at bar.cc:3",
            "the compiler crashed on mm/slub.c",
            "report it",
        ),
        (
            "pahole: Failed to parse DWARF\nFailed to generate BTF for vmlinux",
            "pahole could not write",
            "toolchain.yml",
        ),
        ("BTF: .tmp_vmlinux1: pahole (pahole) is not available", "pahole could not write", "toolchain.yml"),
        (
            "drivers/x.c:7:1: error: expected ';' before '}' token",
            "drivers/x.c does not compile",
            "mend the source",
        ),
        (
            'lib/broken_driver.o: #error "on purpose"',
            "lib/broken_driver.o does not compile",
            "mend the source",
        ),
    ],
)
def test_other_causes(tmp_path: Path, said: str, what: str, mend: str) -> None:
    error = cause(tmp_path, said)
    assert error.what.startswith(what)
    assert said.splitlines()[0] in error.what
    assert mend in error.mend


def test_what_is_not_known_stays_as_it_was(tmp_path: Path) -> None:
    assert cause(tmp_path, "make: *** No rule to make target 'x'.  Stop.") is PLAIN


def test_an_earlier_run_in_the_log_is_not_the_cause(tmp_path: Path) -> None:
    assert cause(tmp_path, "make: *** [x] Error 2", before="Killed") is PLAIN


def test_a_full_disk_is_told_by_the_run_itself(tmp_path: Path) -> None:
    full = KlabError("sh ran out of disk space", step="s")
    log = tmp_path / "log"
    log.write_text("# to repeat: x\nfs/x.c:1: error: No space left on device\n")
    assert failure.named(full, log) is full
