# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is at work on a class, how a run went for each seat, and what is forgotten."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fixtures import classes
from klab.classroom import claim, keys, lastrun, opening, reach
from klab.classroom.model import Class
from klab.errors import KlabError
from klab.machine import model
from klab.machine.model import Machine


@pytest.fixture
def class_(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Class:
    monkeypatch.setenv("KLAB_STATE", str(tmp_path / "state"))
    return classes.of(classes.virtual(1), classes.existing(2))


@pytest.fixture
def other(class_: Class) -> subprocess.Popen[str]:
    """A run that has claimed the class and goes on."""
    code = "import time; from klab.classroom import claim; from fixtures import classes\n"
    code += "claim.runner = lambda: __import__('os').getpid()\n"
    code += "claim.take(classes.of()); print('taken', flush=True); time.sleep(60)"
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=env) as run:
        assert run.stdout
        assert run.stdout.readline() == "taken\n"
        yield run
        run.kill()


def test_two_teachers(class_: Class, other: subprocess.Popen[str]) -> None:
    with pytest.raises(KlabError, match=f"is at work on class c1, .* \\(pid {other.pid}\\)") as error:
        claim.take(class_)
    assert "klab class claim --force" in error.value.mend
    assert claim.take(class_, force=True).pid == os.getppid()


def test_a_claim_ends_with_its_run(class_: Class, other: subprocess.Popen[str]) -> None:
    other.kill()
    other.wait()
    assert claim.held(class_) is None
    claim.take(class_)
    claim.take(class_)  # the same run again
    assert claim.release(class_)
    assert not claim.release(class_)


def test_a_run_ends_its_own_claim_only(
    class_: Class, other: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    claim.end(class_.state)
    assert claim.held(class_)
    # The plugin ends, in the playbook's process, what a module of that run took.
    monkeypatch.setattr(claim, "runner", lambda pid=0: os.getpid())
    claim.take(class_, force=True)
    claim.end(class_.state)
    assert claim.held(class_) is None


def test_of_another_computer_nobody_knows_whether_it_lives(class_: Class) -> None:
    mine = claim.take(class_)
    body = {"owner": "o", "host": "elsewhere.example.org", "pid": 1, "began": 1, "at": mine.at - 600}
    (class_.state / claim.FILE).write_text(json.dumps(body))
    with pytest.raises(KlabError, match=r"o on elsewhere.example.org is at work .* for 10 min"):
        claim.take(class_)


def test_what_failed_is_done_again_and_then_forgotten(class_: Class) -> None:
    said = {
        "msg": "long\nstory",
        "error": {"what": "it is silent", "step": "vm: ssh", "log": "/l", "mend": "do"},
    }
    bad = lastrun.of_task("Bring it up", said)
    good = lastrun.Outcome(1, ok=True)
    assert lastrun.keep(class_.state, {"c1-s01": bad, "c1-s02": good}) == ["c1-s01"]
    assert not class_.seat_dir("c1-s02").exists(), "a seat that was closed is forgotten"
    assert lastrun.load(class_.seat_dir("c1-s01")) == bad
    lines = lastrun.told(class_.state, {"c1-s01": bad, "c1-s02": good}, ["c1-s01"])
    assert lines[0] == "c1-s01: it is silent"
    assert lines[-1].startswith("1 seats to do again: --limit @")
    unreachable = lastrun.of_task("Look", {"msg": "no route"}, reached=False)
    assert (unreachable.what, bool(unreachable.mend)) == ("no route", True)
    assert lastrun.keep(class_.state, {"c1-s02": unreachable}) == ["c1-s01", "c1-s02"], (
        "the first is not forgotten"
    )
    assert lastrun.keep(class_.state, {"c1-s01": good, "c1-s02": good}) == []
    assert (class_.state / lastrun.FAILED).read_text() == ""


def test_keys_are_made_once(class_: Class) -> None:
    first = keys.make(class_)
    assert keys.make(class_) == first
    teacher = reach.client_key(class_).with_suffix(".pub").read_text().strip()
    assert first["c1-s01"]["authorized"] == [teacher]
    assert Path(first["c1-s01"]["host_key"]).stat().st_mode & 0o777 == 0o600
    assert first["c1-s02"]["host_key"] == ""


def test_a_seat_is_forgotten_when_its_machine_is_gone(class_: Class) -> None:
    keys.make(class_)
    seat = class_.seats[0]
    machine = Machine(seat.name, "u", "q35", 64, 1, 2299, 1299, "tcg", "a test")
    machine.dir.mkdir(parents=True)
    machine.save()
    with pytest.raises(KlabError, match="c1-s01: still there"):
        opening.forget(class_, class_.seats)
    assert class_.seat_dir(seat.name).exists()
    model.get(seat.name).file("machine.json").unlink()
    opening.forget(class_, class_.seats)
    assert not class_.seat_dir(seat.name).exists()
