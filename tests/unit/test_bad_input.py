# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that goes wrong is told once and clearly, and nothing half-done is taken for done.

Whole commands run here; guests that go wrong are in tests/site/test_dead_guests.py.
"""

import os
import re
import socket
from pathlib import Path

import pytest

from conftest import Sandbox
from klab import store
from klab.kernel import artefact, cached
from klab.machine import model


@pytest.mark.parametrize(
    ("flavour", "what", "step", "mend"),
    [
        ("tinny", "no kernel flavour 'tinny'", "read flavours", "did you mean tiny?"),
        (
            "unknown",
            "CONFIG_EXT44=y (unknown.config:4) became n: this tree has no such symbol",
            "resolve",
            "take",
        ),
        (
            "dropped",
            "CONFIG_VIRTIO_FS=y (dropped.config:4) became n: needs FUSE",
            "resolve config",
            "add what is",
        ),
        (
            "torn",
            "CONFIG_FUSE is m in modules.config:5, but n in torn.config:4",
            "read fragments",
            "take it out",
        ),
        (
            "young",
            "NEW_CHECKS=y (young.config:4) became n: needs gcc 99.1.0 or newer",
            "resolve",
            "toolchain",
        ),
        ("young", "needs PAHOLE_HAS_NEW_TYPES, that is pahole 9.99 or newer", "resolve", "toolchain"),
        ("young", "needs the compiler clang: this one is gcc", "resolve config", "toolchain that can"),
        ("forged", "not the pinned 1111", "kernel_source: verify", "find out why"),
        ("broken", '#error "this driver is broken on purpose"', "compile broken", "mend the source"),
    ],
)
def test_kernel_that_cannot_be(sandbox: Sandbox, flavour: str, what: str, step: str, mend: str) -> None:
    sandbox.klab("kernel", "build", "--flavour", flavour).refused(what, step=step, mend=mend)
    assert not list(sandbox.cache.glob("kernels/*"))
    assert sandbox.klab("kernel", "list").answer["kernels"] == []


def test_only_what_compiles_reaches_the_compiler(sandbox: Sandbox) -> None:
    for flavour in ("unknown", "dropped", "torn"):
        sandbox.klab("kernel", "build", "--flavour", flavour)
    assert not list(sandbox.cache.rglob("*.o"))


def test_unreachable_mirror(sandbox: Sandbox) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound, and not listening: connections are refused
        port = closed.getsockname()[1]
        sandbox.env.update(KLAB_BUILD_ROOT="", KLAB_DEBIAN_MIRROR=f"http://127.0.0.1:{port}/debian")
        error = sandbox.klab("root", "build").refused(
            "archive cannot be reached", step="build_root", mend="KLAB_DEBIAN_MIRROR"
        )
    assert "127.0.0.1" in error["what"]
    assert not list(sandbox.cache.glob("roots/*"))


def on_small_disk(folder: Path, size: str) -> list[str]:
    """Words before a command: in a mount namespace where `folder` is a disk of that size."""
    folder.mkdir(parents=True, exist_ok=True)
    script = f'mount -t tmpfs -o size={size} small "{folder}" && exec "$@"'
    return ["unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh"]


def test_too_little_disk_is_told_before_anything_is_built(sandbox: Sandbox) -> None:
    said = sandbox.klab(
        "doctor", "--stage", "kernel", "--flavour", "tiny", before=on_small_disk(sandbox.cache, "64m")
    )
    assert said.code == 1
    assert any(
        line.startswith("disk: ") and "GiB free" in line and "do: " in line for line in said.answer["bad"]
    )


# Too small for the download, the unpacked source, the compiler's output, the artefact's files.
@pytest.mark.parametrize("size", ["200k", "540k", "680k", "760k"])
def test_disk_that_fills_up_on_the_way(sandbox: Sandbox, size: str) -> None:
    build = ("kernel", "build", "--flavour", "tiny")
    said = sandbox.klab(*build, before=on_small_disk(sandbox.cache, size))
    assert said.code == 1
    assert "Traceback" not in said.stderr
    assert re.search("disk space|disk is full|No space left", said.answer["error"]["what"])
    assert said.answer["error"]["mend"]
    # The same with room enough finds nothing that it would take for done.
    assert sandbox.klab(*build).answer["changed"]


@pytest.fixture
def loose(sandbox: Sandbox) -> list[str]:
    """Options of `vm create` that name a kernel and a disk which are never booted."""
    (sandbox.folder / "bzImage").write_bytes(b"kernel")
    (sandbox.folder / "disk.raw").write_bytes(bytes(1 << 20))
    return [
        f"--kernel={sandbox.folder}/bzImage",
        f"--image={sandbox.folder}/disk.raw",
        "--accel=tcg",
    ]


def test_occupied_port(sandbox: Sandbox, loose: list[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        port = taken.getsockname()[1]
        sandbox.klab("vm", "create", "--name=box", f"--ssh-port={port}", *loose)
        said = sandbox.klab("vm", "start", "--name=box")
        error = said.refused(f"port {port} on 127.0.0.1", step="vm: ports", mend="choose another port")
    assert f"pid {os.getpid()}" in error["what"]
    assert error["machine"] == "box"
    assert sandbox.klab("vm", "status", "--name=box").answer["machine"]["state"] == "off"


def test_stale_pid_file(sandbox: Sandbox, loose: list[str]) -> None:
    sandbox.klab("vm", "create", "--name=box", *loose)
    pid_file = sandbox.state / "machines/box/qemu.pid"
    pid_file.write_text(f"{os.getpid()}\n")  # a living process, but not the machine's QEMU
    assert sandbox.klab("vm", "status", "--name=box").answer["machine"]["state"] == "off"
    pid_file.write_text(f"{os.getpid()}\n")
    assert sandbox.klab("vm", "destroy", "--name=box", "--yes").answer["changed"]  # and this test lives on
    assert not pid_file.exists()


def test_two_builds_at_once(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KLAB_CACHE", "KLAB_KERNELS", "KLAB_BUILD_ROOT"):
        monkeypatch.setenv(name, sandbox.env[name])
    with store.drafting(cached.KIND, artefact.plan("tiny", {"host": "tests"}).digest):
        sandbox.klab("kernel", "build", "--flavour", "tiny").refused(
            f"another klab run (pid {os.getpid()}) is already at work on kernels", step="lock", mend="wait"
        )


def test_two_runs_on_one_machine(sandbox: Sandbox, loose: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox.klab("vm", "create", "--name=box", *loose)
    monkeypatch.setenv("KLAB_STATE", str(sandbox.state))
    with model.locked("box"):
        sandbox.klab("vm", "start", "--name=box").refused(
            f"another klab run (pid {os.getpid()}) is already at work on machine box",
            step="lock",
            mend="wait",
        )
