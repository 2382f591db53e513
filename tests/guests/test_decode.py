# SPDX-License-Identifier: GPL-3.0-or-later
"""A report of a real oops gets the right lines of the source, of the kernel and of a module."""

import re
import shutil
from pathlib import Path

import pytest

from klab import accel, catalogue, sandbox
from klab.errors import KlabError
from klab.guest import initramfs, runner
from klab.kernel import artefact, decode
from klab.machine import console
from klab.testing.guests import Guests

FIXTURE = Path(__file__).parents[1] / "fixtures/debuggee"


def of_a_verdict(work: Path) -> str:
    """What a grader says of a module that oopses."""
    spec = catalogue.load().labs["kernel-architecture/lkm-lifecycle"]
    with pytest.raises(pytest.fail.Exception) as failed:
        Guests(spec)("insmod /klab/crasher.ko", files={"klab/crasher.ko": work / "crasher.ko"})
    return str(failed.value)


def line_of(path: Path, text: str) -> int:
    """The number of the one line that holds this text."""
    (number,) = [n for n, line in enumerate(path.read_text().splitlines(), 1) if text in line]
    return number


def test_of_a_module_and_of_the_kernel(tmp_path: Path) -> None:
    work = shutil.copytree(FIXTURE, tmp_path / "work")
    built = sandbox.make(work, "lab")
    assert built.code == 0, built.err
    kernel = artefact.get("lab")
    files = {"klab/crasher.ko": (initramfs.DATA, (work / "crasher.ko").read_bytes())}
    keep = tmp_path / "console"
    with pytest.raises(KlabError):
        runner.run(
            kernel.file("bzImage"), ["dmesg -n 8; insmod /klab/crasher.ko"], which=accel.probe().accel,
            cmdline="oops=panic", files=files, keep=keep,
        )  # fmt: skip
    said = "\n".join(decode.lines(console.lines(keep), kernel, {"crasher": work / "crasher.ko"}))
    crash = line_of(FIXTURE / "crasher.c", "WRITE_ONCE")
    call = line_of(FIXTURE / "crasher.c", "crasher_write(NULL)")
    assert re.search(rf"RIP: .* \[crasher\] \(crasher\.c:{crash}\)", said), said
    assert re.search(rf"crasher_init\+\S+ \[crasher\] \(crasher\.c:{call}\)", said), said
    assert re.search(r"do_one_initcall\+\S+ \(init/main\.c:\d+\)", said), said
    assert f"(crasher.c:{crash})" in of_a_verdict(work)
    # Nobody knows another module's file; the line stays.
    plain = decode.lines(console.lines(keep), kernel, {})
    assert re.search(r"\[crasher\]$", "\n".join(plain), re.MULTILINE)
