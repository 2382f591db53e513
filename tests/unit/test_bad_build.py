# SPDX-License-Identifier: GPL-3.0-or-later
"""A build that is killed, starved or damaged poisons nothing, and the next run goes on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from conftest import Sandbox
from klab import digest

BUILD = ("kernel", "build", "--flavour", "tiny")


def script(sandbox: Sandbox, name: str = "compile.sh") -> Path:
    """One of the scripts of the cached source, to be changed behind klab's back."""
    sandbox.klab("source", "fetch", "--flavour", "tiny")
    (found,) = sandbox.cache.glob(f"sources/*/tree/scripts/{name}")
    return found


def files(answer: dict[str, Any]) -> dict[str, str]:
    """The artefact's files and their content."""
    folder = Path(answer["path"])
    return {p.name: digest.of_file(p) for p in folder.iterdir() if p.name != "manifest.json"}


def from_nothing(sandbox: Sandbox) -> dict[str, str]:
    """What the same build gives in an empty cache."""
    other = Sandbox(sandbox.folder, {**sandbox.env, "KLAB_CACHE": str(sandbox.folder / "elsewhere")})
    return files(other.klab(*BUILD).answer)


@pytest.mark.parametrize(
    ("said", "what", "mend"),
    [
        (
            "gcc: fatal error: Killed signal terminated program cc1",
            "ran out of memory: cc1 was killed",
            "KLAB_JOBS=1",
        ),
        (
            "fs/ext4.c:1:1: internal compiler error: Segmentation fault",
            "the compiler crashed on fs/ext4.c",
            "test the memory",
        ),
        (
            "Failed to generate BTF for vmlinux",
            "pahole could not write the type information",
            "toolchain.yml",
        ),
        ("ccX.s: fatal error: No space left on device", "ran out of disk space", "free some space"),
    ],
)
def test_a_build_that_lacks_something(sandbox: Sandbox, said: str, what: str, mend: str) -> None:
    broken = script(sandbox)
    whole = broken.read_text()
    broken.write_text(f"#!/bin/sh\necho '{said}' >&2\nexit 1\n")
    sandbox.klab(*BUILD).refused(what, step="kernel_build: compile tiny", mend=mend)
    assert not list(sandbox.cache.glob("kernels/*"))
    broken.write_text(whole)
    assert files(sandbox.klab(*BUILD).answer) == from_nothing(sandbox)


def killed_while(sandbox: Sandbox, ready: Path) -> None:
    """Start a build and kill klab outright once the file `ready` is there."""
    argv = [sys.executable, "-m", "klab", *BUILD]
    running = subprocess.Popen(argv, env=sandbox.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 30
    while not (ready.exists() and ready.read_text().strip()):
        assert time.monotonic() < end
        time.sleep(0.05)
    running.send_signal(signal.SIGKILL)
    running.wait()
    # A build root's namespace would end with klab; here make and its children are left.
    os.killpg(os.getpgid(int(ready.read_text())), signal.SIGKILL)


@pytest.mark.parametrize("place", ["compile.sh", "package.sh"])
def test_a_build_killed_outright_goes_on_and_gives_the_same_bytes(sandbox: Sandbox, place: str) -> None:
    broken = script(sandbox, place)
    whole = broken.read_text()
    ready = sandbox.folder / f"half-way-{place}"
    half = 'cat "$header" "$source" >"$out/$object"' if place == "compile.sh" else 'pack "linux-headers'
    assert half in whole
    torn = 'echo torn >"$out/$object"; ' if place == "compile.sh" else ""
    wait = f"{torn}sh -c 'echo $$ >{ready}; sleep 60'; "
    broken.write_text(whole.replace(half, wait + half))
    killed_while(sandbox, ready)
    assert not list(sandbox.cache.glob("kernels/*"))
    broken.write_text(whole)
    again = sandbox.klab(*BUILD).answer
    assert again["changed"]
    assert files(again) == from_nothing(sandbox)


def test_a_damaged_artefact_is_set_aside_and_built_again(sandbox: Sandbox) -> None:
    first = sandbox.klab(*BUILD).answer
    want = files(first)
    image = Path(first["path"]) / "bzImage"
    image.chmod(0o644)
    image.write_bytes(b"not a kernel")
    again = sandbox.klab(*BUILD).answer
    assert again["changed"]
    assert files(again) == want
    assert list(sandbox.cache.glob("kernels/*.damaged-*"))
    assert "bzImage has 12 bytes" in (sandbox.cache / "damaged.log").read_text()
    assert not sandbox.klab(*BUILD).answer["changed"]


def test_jobs_that_are_no_number(sandbox: Sandbox) -> None:
    sandbox.env["KLAB_JOBS"] = "many"
    sandbox.klab(*BUILD).refused("KLAB_JOBS is 'many'", step="choose jobs", mend="a number from 1 on")
