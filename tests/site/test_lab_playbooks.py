# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab's way through the playbooks: start, check, solve, collect, reset, with tasks of its own."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fixtures import playbooks, seats
from klab.testing.machines import Machine

LABS = playbooks.REPO / "tests/fixtures/labs"
LAB = "samples/double"
LAID = "/etc/klab-double"
Play = Callable[..., tuple[int, str]]


@pytest.fixture
def play(machine: Machine, pytestconfig: pytest.Config) -> Iterator[Play]:
    """Runs playbooks/lab_VERB.yml for a machine that has not begun the lab, and forgets it afterwards.

    It answers how much a playbook changed on the machine, and what it said.
    """
    env = {"KLAB_LABS": str(LABS), "ANSIBLE_ROLES_PATH": f"{playbooks.REPO / 'roles'}:{LABS}"}
    words = ["-i", pytestconfig.getoption("klab_inventory"), "--limit", machine.name, "-e", f"lab={LAB}"]

    def run(verb: str, *more: str, code: int = 0) -> tuple[int, str]:
        recap, said = playbooks.play(f"lab_{verb}", *words, *more, env=env, code=code)
        return recap[machine.name]["changed"], said

    with seats.kept(machine.record):
        yield run
    machine.output("rm -rf ~/labs/samples ~/labs/.before-reset/samples", root=False)
    machine.output(f"rm -f {LAID}", root=True)


def test_from_start_to_reset(play: Play, machine: Machine, tmp_path: Path) -> None:
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
