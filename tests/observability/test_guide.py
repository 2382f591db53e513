# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/guide/observability.md, typed from its beginning to its end on a lab machine, as it is written."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from klab.machine import lifecycle, model
from klab.paths import repo_dir
from klab.testing.machines import Machine

GUIDE = "docs/guide/observability.md"
HERE = ("make ", "scp ")  # what is typed on one's own computer
RESET_S, TYPED_S = 300.0, 900
BEGUN = "klab-guide:"
# Somebody at work in another shell, for who listens to the whole machine.
OTHER = "(while sleep 0.3; do /bin/true </etc/hostname; done) & other=$!"
# By what each block begins with: a part of what it prints.
SAYS = {
    "ls -lh /sys/kernel/btf/vmlinux": ("struct task_struct {",),
    "sudo bpftrace -e 'tracepoint:raw_syscalls": ("@[sleep]: ", "bash /etc/hostname"),
    "echo 0 | sudo tee": ("vfs_read() {",),
    "cat >slow.c": (),
    "./slow & sudo bpftrace": ("@off_us[",),
    "cat >waits.c": (),
    "heaptrack ./slow": ("heaptrack stats",),
    "mkdir -p ~/labs/tracer": (" was begun by bash",),
    "klab guest --base debian stock": (" was begun by ",),
    "klab guest --base debian nobtf": ("kernel BTF is missing at '/sys/kernel/btf/vmlinux'",),
}


def blocks() -> list[str]:
    """What the guide says to type: each piece of indented lines, and commands in the midst of a sentence."""
    found, open_ = [], False
    for line in (repo_dir() / GUIDE).read_text().splitlines():
        if line.startswith("    "):
            found += [] if open_ else [""]
            found[-1] += line[4:] + "\n"
            open_ = True
        elif line:
            open_ = False
            found += (
                ["\n".join(re.findall(r"`(heaptrack[^`]* [^`]+)`", line))] if "`heaptrack " in line else []
            )
        elif open_:
            found[-1] += "\n"
    return [block for block in found if not block.startswith(HERE)]


@pytest.fixture(scope="module")
def machine_as_new(machine: Machine) -> Iterator[Machine]:
    assert isinstance(machine.record, model.Machine)
    yield machine
    with model.locked(machine.name):
        lifecycle.reset(machine.record, RESET_S)


@pytest.fixture(scope="module")
def typed(machine_as_new: Machine, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What was printed, by the block's first line."""
    parts = [f"echo; echo '{BEGUN}{number}'\n{block}" for number, block in enumerate(blocks())]
    script = tmp_path_factory.mktemp("guide") / "guide.sh"
    script.write_text("\n".join(["mkdir -p ~/guide; cd ~/guide", OTHER, *parts, "kill $other"]))
    record = machine_as_new.record
    at = ["-F", str(record.ssh_config)]
    subprocess.run(["scp", "-q", *at, script, f"{record.name}:guide.sh"], check=True, timeout=60)
    done = subprocess.run(
        # On a terminal, as people are: perf for one writes its data to what is none.
        ["ssh", "-tt", *at, record.name, "bash -l guide.sh 2>&1 </dev/null"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, text=True, errors="replace", check=False, timeout=TYPED_S,
    )  # fmt: skip
    said = re.split(rf"^{BEGUN}\d+\n", done.stdout.replace("\r\n", "\n"), flags=re.M)[1:]
    assert len(said) == len(parts), done.stdout[-3000:]
    return {block.splitlines()[0]: text for block, text in zip(blocks(), said, strict=True)}


def test_each_block_of_the_guide_is_known_here() -> None:
    firsts = [block.splitlines()[0] for block in blocks()]
    assert [next((key for key in SAYS if first.startswith(key)), first) for first in firsts] == [*SAYS]


@pytest.mark.parametrize("first", SAYS)
def test_it_says_what_the_guide_promises(typed: dict[str, str], first: str) -> None:
    (said,) = [text for block, text in typed.items() if block.startswith(first)]
    for word in SAYS[first]:
        assert word in said, said[-3000:]
    assert "command not found" not in said
    assert "syntax error" not in said


@pytest.mark.parametrize(("name", "part"), [("slow.svg", "order"), ("waits.svg", "ms since it began")])
def test_the_pictures_come_to_ones_own_computer(
    typed: dict[str, str], machine_as_new: Machine, tmp_path: Path, name: str, part: str
) -> None:
    record = machine_as_new.record
    copy = ["scp", "-q", "-F", str(record.ssh_config), f"{record.name}:guide/{name}", str(tmp_path)]
    subprocess.run(copy, check=True, timeout=60)
    text = (tmp_path / name).read_text()
    assert "<svg" in text
    assert part in text
