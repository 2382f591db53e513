# SPDX-License-Identifier: GPL-3.0-or-later
"""Verdicts: what was not looked at is never a pass, and a grader that breaks tells nothing."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Event, Timer

import pytest

from fixtures import tinylabs
from klab import catalogue
from klab.errors import KlabError
from klab.lab import grade, workspace
from klab.testing import observe
from klab.testing.observe import Observation

HEAD = "import os, time, pytest\nfrom klab.errors import KlabError\nfrom klab.testing import expect\n"
SEEN = 'expect.equal(1, 1, "one is one", look="nowhere")'


def graded(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    body: str,
    *,
    limit_s: float = 60,
    stop: Event | None = None,
) -> grade.Verdict:
    """The verdict of a grader with this body of its only test."""
    lines = "\n    ".join(body.splitlines())
    tinylabs.lay_out(folder, monkeypatch, f"{HEAD}\ndef test_it(lab):\n    {lines}\n")
    return verdict(folder / "work", limit_s=limit_s, stop=stop)


def verdict(
    work: Path,
    *,
    limit_s: float = 60,
    stop: Event | None = None,
    seed: int = 5,
    first: bool = False,
    ahead: str = "",
) -> grade.Verdict:
    lab = catalogue.load().labs[tinylabs.ID]
    if not work.exists():
        work.mkdir()
        workspace.stage(lab, work)
    return grade.run(lab, work, seed=seed, limit_s=limit_s, stop=stop, first=first, ahead=ahead)


@pytest.mark.parametrize(
    ("body", "word", "why"),
    [
        (SEEN, "pass", ""),
        (f'{SEEN}\nexpect.equal(1, 2, "one is two", look="x")', "fail", "one is two"),
        (f'{SEEN}\nexpect.cannot_tell("it is dark")', "cannot tell", "it is dark"),
        ("pass", "cannot tell", "looked at nothing"),
        (f'{SEEN}\npytest.skip("not today")', "cannot tell", "not today"),
        (f"{SEEN}\nassert 1 == 2, 'sums'", "fail", "sums"),
        (f'{SEEN}\npytest.fail("no good")', "fail", "no good"),
        (f'{SEEN}\nint("x")', "cannot tell", "broke: ValueError"),
        (f'{SEEN}\nraise KlabError("no kernel", mend="build it")', "cannot tell", "no kernel"),
        (f'{SEEN}\npytest.xfail("known")', "cannot tell", "known"),
        (f"{SEEN}\nos._exit(0)", "cannot tell", "pytest ended with 0"),
        ("os._exit(0)", "cannot tell", "pytest ended with 0"),
        (f"{SEEN}\nos._exit(3)", "cannot tell", "pytest ended with 3"),
        (f"{SEEN}\nraise SystemExit(0)", "cannot tell", ""),
    ],
)
def test_each_way_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, word: str, why: str
) -> None:
    said = graded(tmp_path, monkeypatch, body)
    assert said.word == word, said
    assert said.code == {"pass": 0, "fail": 1, "cannot tell": 2}[word]
    assert why in said.reason


@pytest.mark.parametrize(
    "grader", ["import nothing_of_that_name\n", "def test_it(:\n", "", "def helper(): ...\n"]
)
def test_a_grader_that_is_none_tells_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, grader: str
) -> None:
    tinylabs.lay_out(tmp_path, monkeypatch, grader)
    said = verdict(tmp_path / "work")
    assert said.word == "cannot tell"
    assert said.reason


def test_one_failure_decides_and_all_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    two = f"{HEAD}\ndef test_a(lab):\n    expect.cannot_tell('dark')\ndef test_b(lab):\n    {SEEN}\n"
    two += "def test_c(lab):\n    expect.equal(lab.seed, 6, 'the seed', look='here')\n"
    tinylabs.lay_out(tmp_path, monkeypatch, two)
    said = verdict(tmp_path / "work")
    assert [seen.word for seen in said.observations] == ["cannot tell", "pass", "fail"]
    assert (said.word, said.reason) == ("fail", "the seed")
    assert said.observations[2].observed == "5"


def test_who_only_asks_whether_it_fails_hears_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails = "    expect.equal(lab.seed, 6, 'the seed', look='here')\n"
    two = f"{HEAD}\ndef test_a(lab):\n    {SEEN}\ndef test_dark(lab):\n    expect.cannot_tell('dark')\n"
    two += f"def test_b(lab):\n{fails}"
    tinylabs.lay_out(tmp_path, monkeypatch, f"{two}\ndef test_c(lab):\n    time.sleep(600)\n")
    said = verdict(tmp_path / "work", first=True)
    assert [seen.word for seen in said.observations] == ["pass", "cannot tell", "fail"]
    assert (said.word, said.reason) == ("fail", "the seed")


def test_a_test_can_go_ahead_and_the_others_follow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fails = "expect.equal(lab.seed, 6, 'the seed', look='here')"
    two = f"{HEAD}\ndef test_a(lab):\n    {SEEN}\n"
    two += f"@pytest.mark.parametrize('n', [1, 2])\ndef test_b(lab, n):\n    {fails}\n"
    tinylabs.lay_out(tmp_path, monkeypatch, two)
    said = verdict(tmp_path / "work", first=True)
    assert ([seen.test for seen in said.observations], said.test) == (["test_a", "test_b[1]"], "test_b[1]")
    for ahead, tests in {
        "test_b[2]": ["test_b[2]"],
        "test_a": ["test_a", "test_b[1]"],
        "test_of_old": ["test_a", "test_b[1]"],
    }.items():
        said = verdict(tmp_path / "work", first=True, ahead=ahead)
        assert ([seen.test for seen in said.observations], said.word) == (tests, "fail")


def test_a_fixture_that_cannot_tell_fails_no_later_test(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fixture = "@pytest.fixture(scope='session')\ndef base():\n    expect.cannot_tell('it is dark')\n"
    two = "def test_a(lab, base): ...\ndef test_b(lab, base): ...\n"
    tinylabs.lay_out(tmp_path, monkeypatch, f"{HEAD}\n{fixture}\n{two}")
    said = verdict(tmp_path / "work")
    assert [seen.word for seen in said.observations] == ["cannot tell"] * 2
    assert said.reason == "it is dark"


def test_a_check_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    began = time.monotonic()
    said = graded(tmp_path, monkeypatch, f"{SEEN}\ntime.sleep(600)", limit_s=3)
    assert time.monotonic() - began < 30
    assert said.word == "cannot tell"
    assert "did not end within 3 s" in said.reason


def test_a_check_can_be_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = Event()
    Timer(2, stop.set).start()
    said = graded(tmp_path, monkeypatch, "time.sleep(600)", stop=stop)
    assert (said.word, said.reason) == ("cannot tell", "it was stopped")


def test_what_a_grader_holds_is_let_go_when_it_is_told_to_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = f'try:\n    time.sleep(600)\nfinally:\n    open("{tmp_path}/gone", "w").close()'
    graded(tmp_path, monkeypatch, body, limit_s=3)
    assert (tmp_path / "gone").exists()


def test_nothing_from_outside_changes_a_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = tinylabs.lay_out(tmp_path, monkeypatch)
    (lab / "conftest.py").write_text("import os\nos._exit(0)\n")
    (lab.parent.parent / "pytest.ini").write_text("[pytest]\naddopts = --collect-only\n")
    monkeypatch.setenv("PYTEST_ADDOPTS", "--collect-only")
    before = sorted(lab.rglob("*"))
    said = verdict(tmp_path / "work")
    assert (said.word, said.reason) == ("fail", "the file answer holds the number")
    assert sorted(lab.rglob("*")) == before


def test_no_file_of_the_student_is_part_of_the_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tinylabs.lay_out(tmp_path, monkeypatch)
    lab = catalogue.load().labs[tinylabs.ID]
    work = tmp_path / "work"
    work.mkdir()
    workspace.stage(lab, work)
    (work / "klab").mkdir()
    for name in ("test_outcome.py", "conftest.py", "sitecustomize.py", "klab/__init__.py", "pytest.py"):
        (work / name).write_text("import os\nos._exit(0)\n")
    (work / "pytest.ini").write_text("[pytest]\naddopts = --collect-only\n")
    monkeypatch.chdir(work)
    said = grade.run(lab, work, seed=1)
    assert (said.word, said.reason) == ("fail", "the file answer holds the number")


def test_a_lab_of_machines_wants_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = tinylabs.lay_out(tmp_path, monkeypatch)
    (lab / "lab.yml").write_text(tinylabs.LAB.replace("where: guest", "where: machine"))
    assert verdict(tmp_path / "work").word == "cannot tell"


def test_the_text_fits_a_terminal() -> None:
    long = Observation("fail", "word " * 60, observed="x" * 500, expected="a\n  b", look="main.c:7")
    lines = observe.show(long).splitlines()
    assert max(map(len, lines)) <= observe.WIDTH
    assert lines[0].startswith("FAIL  word")
    assert "        look at:   main.c:7" in lines
    assert "                     b" in lines
    assert observe.show(Observation("pass", "good", observed="x")) == "ok    good"


def test_an_observation_survives_the_pipe() -> None:
    seen = Observation("fail", "zwei\nZeilen", observed='{"word": "pass"}', splat="BUG: x")
    assert Observation.from_line(seen.line()) == seen
    assert "\n" not in seen.line()


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda work: (work / "link").symlink_to("/etc/passwd"), "link is a link that leads out"),
        (lambda work: (work / "up").symlink_to("../.."), "up is a link that leads out"),
        (lambda work: os.mkfifo(work / "pipe"), "pipe is neither"),
        (lambda work: os.truncate(_file(work / "big"), 65 << 20), "64 MiB"),
        (lambda work: [_file(work / f"f{n}") for n in range(2001)], "2000 files"),
    ],
)
def test_a_workspace_that_is_none_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: object, why: str
) -> None:
    tinylabs.lay_out(tmp_path, monkeypatch)
    lab = catalogue.load().labs[tinylabs.ID]
    work = tmp_path / "work"
    work.mkdir()
    workspace.stage(lab, work)
    (work / "inside").symlink_to("answer")
    workspace.check(work)
    spoil(work)  # type: ignore[operator]
    with pytest.raises(KlabError, match=why):
        workspace.check(work)
    said = grade.run(lab, work, seed=1)
    assert said.word == "fail"
    assert why in said.reason


def _file(path: Path) -> Path:
    path.touch()
    return path


def test_a_patch_applies_exactly_or_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tinylabs.lay_out(tmp_path, monkeypatch)
    lab = catalogue.load().labs[tinylabs.ID]
    solved = tmp_path / "solved"
    solved.mkdir()
    workspace.stage(lab, solved, lab.solution)
    assert (solved / "answer").read_text() == "42\n"
    assert (solved / "README.md").is_file()
    (folder / "starter/answer").write_text("1\n")
    (tmp_path / "again").mkdir()
    with pytest.raises(KlabError, match="does not apply"):
        workspace.stage(lab, tmp_path / "again", lab.solution)


def test_a_patch_applies_inside_a_checkout_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tinylabs.lay_out(tmp_path, monkeypatch)
    lab = catalogue.load().labs[tinylabs.ID]
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / "solved").mkdir()
    workspace.stage(lab, tmp_path / "solved", lab.solution)
    assert (tmp_path / "solved/answer").read_text() == "42\n"


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_a_verb_that_is_interrupted_leaves_no_grader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sign: signal.Signals
) -> None:
    body = f'open("{tmp_path}/pid", "w").write(str(os.getpid()))\n    time.sleep(600)'
    tinylabs.lay_out(tmp_path, monkeypatch, f"{HEAD}\ndef test_it(lab):\n    {body}\n")
    work = tmp_path / "work"
    work.mkdir()
    script = (
        # A runner in the background ignores Ctrl-C, and a child inherits that.
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "import click; from pathlib import Path; from klab import catalogue; from klab.lab import grade\n"
        "from klab.cli.verb import verb\ngroup = click.Group()\n@verb(group, 'go')\ndef go():\n"
        f"    grade.run(catalogue.load().labs['{tinylabs.ID}'], Path('{work}'), seed=1)\n"
        "group(['go'])"
    )
    ours = subprocess.Popen([sys.executable, "-c", script])
    until = time.monotonic() + 30
    while not (tmp_path / "pid").exists() and time.monotonic() < until:
        time.sleep(0.1)
    ours.send_signal(sign)
    assert ours.wait(30) == 128 + sign
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text()}").exists()
