# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest that dies or never answers is named, with its machine, step, log and mend.

Real guests on the kernel and image that `make lab` left in the cache; machines and keys
go into a state folder of the test.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import Sandbox
from klab import store
from klab.kernel import artefact

PATIENCE_S = 120  # the wait that is allowed; a dead guest is to be named long before


@pytest.fixture
def kernel() -> str:
    """The cached kernel of flavour lab."""
    return artefact.get("lab").digest


@pytest.fixture
def image(kernel: str) -> str:
    """The newest cached image with that kernel."""
    fitting = [entry.digest for entry in store.entries("images") if entry.manifest["kernel"] == kernel]
    assert fitting, "no image in the cache: make lab"
    return fitting[0]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Sandbox]:
    """The real cache, and machines of the test's own, gone afterwards."""
    sandbox = Sandbox(tmp_path, {**os.environ, "KLAB_STATE": str(tmp_path / "state")})
    yield sandbox
    sandbox.klab("vm", "destroy", "--name=doomed", "--yes")


def start(
    place: Sandbox, kernel: str, image: str, cmdline: str, timeout_s: int
) -> tuple[dict[str, str], float]:
    """Create and start a machine that cannot work; the error and the seconds until it came."""
    words = ("--name=doomed", f"--kernel={kernel}", f"--image={image}", "--port-base=2500", "--gdb-base=2600")
    made = place.klab("vm", "create", *words, f"--cmdline={cmdline}")
    assert made.code == 0, made.answer
    began = time.monotonic()
    said = place.klab("vm", "start", "--name=doomed", f"--timeout={timeout_s}", timeout_s=2 * PATIENCE_S)
    took = time.monotonic() - began
    assert said.code == 1, said.answer
    assert "Traceback" not in said.stderr
    error = said.answer["error"]
    assert error["machine"] == "doomed"
    assert error["step"] == "vm: wait for ssh"
    assert error["mend"]
    assert "Linux version" in Path(error["log"]).read_text()
    return error, took


def test_no_root_file_system(place: Sandbox, kernel: str) -> None:
    blank = place.folder / "blank.raw"
    blank.write_bytes(bytes(1 << 20))
    error, took = start(place, kernel, str(blank), "", PATIENCE_S)
    assert error["what"].startswith("no root file system: ")
    assert took < PATIENCE_S / 2


def test_panic(place: Sandbox, kernel: str, image: str) -> None:
    error, took = start(place, kernel, image, "init=/bin/false", PATIENCE_S)
    assert error["what"].startswith("kernel panic: ")
    assert "Attempted to kill init" in error["what"]
    assert took < PATIENCE_S / 2


def test_never_answers(place: Sandbox, kernel: str, image: str) -> None:
    # An init that lives and does nothing: no panic, no message, no ssh.
    error, took = start(place, kernel, image, "init=/bin/cat", 20)
    assert error["what"].startswith("no answer over ssh within 20 s")
    assert "Run /bin/cat as init process" in error["what"]
    assert 20 <= took < PATIENCE_S
