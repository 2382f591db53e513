# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab's way through the playbooks: start, check, solve, collect, reset, with tasks of its own."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from klab.testing.machines import Machine

REPO = Path(__file__).resolve().parents[2]
LABS = REPO / "tests/fixtures/labs"
LAB = "samples/double"
LAID = "/etc/klab-double"


class Playbooks:
    """Runs playbooks/lab_*.yml for one machine."""

    def __init__(self, inventory: str, machine: str) -> None:
        self.words = ["-i", inventory, "--limit", machine, "-e", f"lab={LAB}"]
        self.machine = machine

    def __call__(self, verb: str, *words: str, code: int = 0) -> tuple[int, str]:
        """How much a playbook changed on the machine, and what it said."""
        ansible = Path(sys.executable).with_name("ansible-playbook")
        argv = [str(ansible), f"playbooks/lab_{verb}.yml", *self.words, *words]
        env = {**os.environ, "ANSIBLE_CONFIG": str(REPO / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
        env |= {"KLAB_LABS": str(LABS), "ANSIBLE_ROLES_PATH": f"{REPO / 'roles'}:{LABS}"}
        done = subprocess.run(argv, cwd=REPO, env=env, capture_output=True, text=True, check=False)
        said = done.stdout + done.stderr
        assert done.returncode == code, said
        counts = re.search(rf"^{self.machine} .* changed=(\d+)", done.stdout.partition("PLAY RECAP")[2], re.M)
        assert counts, said
        return int(counts[1]), said


@pytest.fixture
def play(machine: Machine, pytestconfig: pytest.Config) -> Iterator[Playbooks]:
    """Playbooks for a machine that has not begun the lab, and forgets it afterwards."""
    seat = machine.record.file("seat.json")
    before = seat.read_bytes() if seat.exists() else None
    yield Playbooks(pytestconfig.getoption("klab_inventory"), machine.name)
    machine.output("rm -rf ~/labs/samples ~/labs/.before-reset/samples", root=False)
    machine.output(f"rm -f {LAID}", root=True)
    seat.unlink(missing_ok=True)
    if before is not None:
        seat.write_bytes(before)


def test_from_start_to_reset(play: Playbooks, machine: Machine, tmp_path: Path) -> None:
    assert play("start", "--check")[0] > 0, "check mode says what would change"
    assert machine.run(f"test -e ~/labs/{LAB} -o -e {LAID}").code == 1, "and changes nothing"
    assert play("start")[0] == 2, "the files, and the lab's own task"
    assert play("start")[0] == 0, "a second start changes nothing"
    assert f"{LAB}: not passed" in play("check", code=2)[1]
    play("solve")
    assert f"{LAB}: pass" in play("check")[1]
    play("collect", "-e", f"lab_collect_to={tmp_path}")
    assert "$((" in (tmp_path / machine.name / LAB / "double.sh").read_text()
    machine.output(f"echo spoiled >{LAID}", root=True)
    play("reset")
    assert machine.output(f"cat {LAID}") == "twice\n"
    assert f"{LAB}: not passed" in play("check", code=2)[1]
