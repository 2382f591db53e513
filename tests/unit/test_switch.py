# SPDX-License-Identifier: GPL-3.0-or-later
"""Switching a machine's kernel: what the record says, and the way back. QEMU and ssh are fakes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from klab import accel
from klab.errors import KlabError
from klab.machine import argv, banner, drift, lifecycle, model, process, qmp, rest, ssh, switch, wake
from klab.machine.model import Machine
from klab.machine.parts import Image, Kernel, Wanted


def bzimage(path: Path, release: str, version: str) -> Path:
    """A file with a kernel's header and nothing behind it."""
    head = bytearray(0x4000)
    head[0x202:0x206] = b"HdrS"
    head[0x20E:0x210] = (0x3000).to_bytes(2, "little")
    text = f"{release} (klab@klab) {version}".encode()
    head[0x3200 : 0x3200 + len(text)] = text
    path.write_bytes(head)
    return path


class Guest:
    """What answers in the place of a machine: it runs what its QEMU was started with."""

    def __init__(self, kernels: dict[str, Kernel], bad: set[str]) -> None:
        self.kernels = kernels
        self.bad = bad
        self.running = ""  # a digest; empty while it is off
        self.installed: dict[str, str] = {}
        self.starts: list[str] = []
        self.installs: list[str] = []

    def launch(self, machine: Machine, words: list[str]) -> None:
        boot = machine.dir / words[words.index("-kernel") + 1]
        line = words[words.index("-append") + 1]
        said = banner.read(boot)
        digest = next(d for d, k in self.kernels.items() if banner.read(k.path) == said)
        self.running = digest
        self.starts.append(said.release)
        self.dead = digest in self.bad or "init=/nonexistent" in line

    def wait(self, machine: Machine, deadline_s: float, **_: bool) -> float:
        if self.dead:
            raise KlabError("kernel panic: Attempted to kill init!", mend="read it")
        return 1.0

    def run(self, machine: Machine, command: str, **_: object) -> ssh.Said:
        if command == "sudo -n systemctl poweroff":
            self.running = ""
            return ssh.Said(0, "", "")
        if not command.startswith("uname"):
            return ssh.Said(0, "", "")
        release = command.split(f"{switch.NOTES}/")[1].split(".json", maxsplit=1)[0]
        said = banner.read(self.kernels[self.running].path)
        note = json.dumps({"digest": self.installed[release]}) if release in self.installed else ""
        return ssh.Said(0, f"{said.release}\n{said.version}\n{note}\n", "")

    def keep(self, machine: Machine) -> None:
        self.running = ""
        machine.ready = 1

    def install(self, digest: str) -> None:
        self.installs.append(digest)
        self.installed[self.kernels[digest].release] = digest


@pytest.fixture
def kernels(tmp_path: Path) -> dict[str, Kernel]:
    made = {}
    for digest, release in (("a" * 64, "6-lab"), ("b" * 64, "6-san"), ("c" * 64, "6-lab")):
        path = bzimage(tmp_path / digest, release, f"#{digest[:12]} SMP")
        made[digest] = Kernel(path, digest, release, "word", release[2:])
    return made


@pytest.fixture
def world(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernels: dict[str, Kernel]
) -> Callable[..., tuple[Machine, Guest]]:
    monkeypatch.setenv("KLAB_STATE", str(tmp_path / "state"))

    def make(bad: tuple[str, ...] = ()) -> tuple[Machine, Guest]:
        guest = Guest(kernels, set(bad))
        guest.installed["6-lab"] = "a" * 64
        monkeypatch.setattr(lifecycle.disk, "layer", lambda m, below: m.disk.touch())
        monkeypatch.setattr(rest, "save", guest.keep)
        monkeypatch.setattr(rest, "go_on", lambda m: None)
        monkeypatch.setattr(wake, "answer", lambda m, number, patience_s: "0")
        monkeypatch.setattr(argv, "machine_type", lambda: "pc-q35-7.2")
        monkeypatch.setattr(process, "launch", guest.launch)
        monkeypatch.setattr(process, "pid_of", lambda m: 1 if guest.running else None)
        monkeypatch.setattr(process, "wait_gone", lambda m, patience_s: not guest.running)
        monkeypatch.setattr(qmp, "leave", lambda m: setattr(guest, "running", ""))
        monkeypatch.setattr(qmp, "resume", lambda m: False)
        monkeypatch.setattr(qmp, "forget", lambda m, tag: None)
        monkeypatch.setattr(qmp, "save", lambda m, tag, **_: None)
        for name in ("wait", "run"):
            monkeypatch.setattr(ssh, name, getattr(guest, name))
        machine = lifecycle.create("m1", wanted(tmp_path, kernels["a" * 64]))
        return machine, guest

    return make


def wanted(folder: Path, kernel: Kernel) -> Wanted:
    (folder / "disk").touch()
    return Wanted(kernel, Image(folder / "disk", "i"), accel.Verdict("tcg", "a test", 0))


def test_banner_is_what_uname_says(tmp_path: Path) -> None:
    said = banner.read(bzimage(tmp_path / "k", "6.12.1-x", "#b1269ac0268f SMP PREEMPT Thu Nov 12"))
    assert said == banner.Banner("6.12.1-x", "#b1269ac0268f SMP PREEMPT Thu Nov 12")


@pytest.mark.parametrize("content", [b"", b"MZ" + bytes(0x4000)])
def test_what_is_no_kernel_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "k").write_bytes(content)
    with pytest.raises(KlabError, match="is no bzImage"):
        banner.read(tmp_path / "k")


def test_switch_and_back(world, kernels) -> None:
    machine, guest = world()
    assert switch.to(machine, kernels["b" * 64], guest.install, 10)
    known = model.get("m1")
    assert known.kernel["flavour"] == "san"
    assert known.home["flavour"] == "lab"
    assert known.ready, "what was there before can be come back to"
    assert guest.installs == ["b" * 64]
    assert not switch.to(machine, kernels["b" * 64], guest.install, 10), "it runs already"
    assert switch.to(machine, kernels["a" * 64], guest.install, 10)
    assert guest.installs == ["b" * 64], "the first one was never gone"
    assert guest.starts == ["6-lab", "6-lab", "6-san", "6-lab"], "one start is from the point that is kept"
    assert not machine.switched


def test_panic_goes_back_and_says_so(world, kernels) -> None:
    machine, guest = world(bad=("b" * 64,))
    with pytest.raises(KlabError, match=r"flavour san .* did not come up on m1: kernel panic") as raised:
        switch.to(machine, kernels["b" * 64], guest.install, 10)
    assert "m1 is back on the last good one, flavour lab (6-lab)" in raised.value.what
    assert raised.value.log == str(machine.console)
    assert guest.starts == ["6-lab", "6-lab", "6-san", "6-lab"]
    assert model.get("m1").kernel == machine.home


def test_nothing_comes_up(world, kernels) -> None:
    machine, guest = world(bad=("b" * 64,))
    lifecycle.start(machine, deadline_s=10)
    lifecycle.ready(machine, 10)
    guest.bad.add("a" * 64)
    with pytest.raises(KlabError, match="did not come up either") as raised:
        switch.to(machine, kernels["b" * 64], guest.install, 10)
    assert "klab vm reset --name m1" in raised.value.mend


def test_own_arguments_of_the_same_kernel(world, kernels) -> None:
    machine, guest = world()
    tried = replace(kernels["a" * 64], cmdline="word init=/nonexistent")
    with pytest.raises(KlabError, match="is back on the last good one"):
        switch.to(machine, tried, guest.install, 10)
    assert not guest.dead
    assert model.get("m1").kernel["cmdline"] == "word"


def test_same_release_gets_its_modules_back(world, kernels) -> None:
    machine, guest = world(bad=("c" * 64,))
    with pytest.raises(KlabError, match="is back"):
        switch.to(machine, kernels["c" * 64], guest.install, 10)
    assert guest.installs == ["c" * 64, "a" * 64]
    assert guest.installed["6-lab"] == "a" * 64


def test_cut_off_while_it_tries(world, kernels) -> None:
    machine, guest = world()

    def cut(*_: object, **__: object) -> float:
        raise KeyboardInterrupt

    lifecycle.start(machine, deadline_s=10)
    lifecycle.ready(machine, 10)
    guest.install("b" * 64)
    real, ssh.wait = ssh.wait, lambda m, d, **k: cut() if guest.running == "b" * 64 else 1.0
    try:
        with pytest.raises(KeyboardInterrupt):
            switch.to(machine, kernels["b" * 64], guest.install, 10)
    finally:
        ssh.wait = real
    assert model.get("m1").kernel == machine.home, "nothing is good that was not seen to be"
    assert switch.to(machine, kernels["b" * 64], guest.install, 10), "the same call goes on"
    assert model.get("m1").kernel["flavour"] == "san"


def test_reset_goes_back_to_the_snapshots_kernel(world, kernels) -> None:
    machine, guest = world()
    switch.to(machine, kernels["b" * 64], guest.install, 10)
    lifecycle.reset(machine, 10)
    assert model.get("m1").kernel == machine.home
    assert guest.starts[-1] == "6-lab"


def test_no_run_of_make_lab_undoes_a_switch(world, kernels, tmp_path: Path) -> None:
    machine, guest = world()
    switch.to(machine, kernels["b" * 64], guest.install, 10)
    assert drift.of(machine, wanted(tmp_path, kernels["a" * 64])) == []
    found = drift.of(machine, wanted(tmp_path, kernels["c" * 64]))
    assert found
    with pytest.raises(KlabError, match="it was switched to the kernel 6-san"):
        drift.settle(machine, found, "auto", 10)


@pytest.mark.parametrize("on", [True, False], ids=["on", "off"])
@pytest.mark.parametrize("changed", ["", "/home/student/notes"], ids=["untouched", "worked on"])
def test_a_machine_is_looked_at_before_it_is_made_anew(
    world, kernels, monkeypatch: pytest.MonkeyPatch, on: bool, changed: str
) -> None:
    machine, guest = world()
    lifecycle.ready(machine, 10)
    if not on:
        lifecycle.stop(machine)
    monkeypatch.setattr(ssh, "run", lambda m, command, **_: ssh.Said(0, changed and f"{changed}\n", ""))
    if not changed:
        drift.settle(machine, ["it has more memory"], "auto", 10)
        return
    with pytest.raises(KlabError, match=f"changed since it was ready: {changed}"):
        drift.settle(machine, ["it has more memory"], "auto", 10)
    assert bool(guest.running) is on, "it is left as it was"
    assert model.get("m1").stopped is not on


def test_what_cannot_be_looked_at_is_kept(world, kernels) -> None:
    machine, guest = world()
    lifecycle.ready(machine, 10)
    lifecycle.stop(machine)
    guest.bad.add("a" * 64)
    with pytest.raises(KlabError, match="does not come up: kernel panic"):
        drift.settle(machine, ["it has more memory"], "auto", 10)


def test_both_kernels_are_kept_in_the_cache(world, kernels) -> None:
    machine, guest = world()
    switch.to(machine, kernels["b" * 64], guest.install, 10)
    assert {"a" * 64, "b" * 64, "i"} <= model.made_of()
    assert machine.boot_dir == machine.dir / "kernels" / ("b" * 12)


def test_a_dead_machine_is_revived_first(world, kernels) -> None:
    machine, guest = world()
    switch.to(machine, kernels["b" * 64], guest.install, 10)
    machine.console.write_text("[    9.000000] Kernel panic - not syncing: a student's module\n")
    guest.dead = True
    assert switch.to(machine, kernels["a" * 64], guest.install, 10)
    assert guest.starts[-2:] == ["6-san", "6-lab"]
