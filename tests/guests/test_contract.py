# SPDX-License-Identifier: GPL-3.0-or-later
"""The contract runner: what makes a lab green, red, or neither. Real graders, no kernel."""

import json
import threading
import time
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from fixtures import tinylabs
from klab import catalogue
from klab.catalogue import pages
from klab.lab import contract, grade, proofs
from klab.lab.proofs import GREEN, NOT_RUN, Proof

STEPS = [
    "start",
    "environment",
    "starter",
    "wrong near",
    "solution",
    "seed 2",
    "seed 3",
    "reset",
    "start again",
]


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tinylabs.without_kernel(tmp_path, monkeypatch)
    return tinylabs.lay_out(tmp_path, monkeypatch)


def prove(*, fresh: bool = True, at_once: int = 1) -> Proof:
    labs = list(catalogue.load().labs.values())
    (found,) = contract.prove(labs, at_once=at_once, fresh=fresh, run=contract.Run([1, 2, 3]))
    return found


def test_a_good_lab_is_green(lab: Path) -> None:
    found = prove()
    assert [step.name for step in found.steps] == STEPS
    assert {step.word for step in found.steps} == {GREEN}, found.reasons
    assert found.word == GREEN
    assert found.steps[3].saw == "the file answer holds the number"
    caught = dict.fromkeys(("starter", "wrong near", "reset"), "test_answer")
    assert proofs.caught(catalogue.load().labs[tinylabs.ID]) == caught


@pytest.mark.parametrize(
    ("file", "text", "step", "word", "why"),
    [
        ("starter/answer", "42\n", "starter", "red", "it passed, and should not"),
        ("wrong/near.patch", tinylabs.patch("42"), "wrong near", "red", "it passed, and should not"),
        (
            "wrong/near.patch",
            "--- a/no\n+++ b/no\n@@ -1 +1 @@\n-0\n+1\n",
            "wrong near",
            "cannot tell",
            "apply",
        ),
        ("solution.patch", tinylabs.patch("41"), "solution", "red", "the file answer holds the number"),
        ("test_outcome.py", "import nothing_like_it\n", "solution", "cannot tell", "ImportError"),
        ("test_outcome.py", tinylabs.GRADER.replace("42", "41"), "solution", "red", "holds the number"),
        (
            "test_outcome.py",
            tinylabs.GRADER.replace('"42"', "str(41 + (lab.seed != 2))"),
            "seed 2",
            "red",
            "holds the number",
        ),
        (
            "test_outcome.py",
            tinylabs.GRADER.replace(
                "    said", '    expect.equal(1, 2, "your files build", look="")\n    said'
            ),
            "starter",
            "red",
            "does not build",
        ),
    ],
)
def test_what_spoils_a_lab(lab: Path, *, file: str, text: str, step: str, word: str, why: str) -> None:
    (lab / file).write_text(text)
    found = prove()
    assert found.word in {"red", "cannot tell"}
    (bad,) = [each for each in found.steps if each.name == step]
    assert (bad.word, why in bad.reason) == (word, True), bad


def test_a_broken_environment_ends_the_rest(lab: Path, tmp_path: Path) -> None:
    (tmp_path / "generic/test_environment.py").write_text(tinylabs.ENVIRONMENT.replace("1, 1", "1, 2"))
    found = prove()
    assert [step.word for step in found.steps] == ["green", "red", *[NOT_RUN] * 7]
    assert found.word == "red"
    assert len(found.reasons) == 1


def test_an_unchanged_green_lab_is_told_from_its_proof(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = prove(fresh=False)
    monkeypatch.setattr(grade, "run", lambda *_, **__: pytest.fail("it was run again"))
    assert prove(fresh=False) == first
    (lab / "README.md").write_text("# Another text\n")
    with pytest.raises(pytest.fail.Exception, match="run again"):
        prove(fresh=False)
    (one,) = catalogue.load().labs.values()
    assert proofs.current(one).word == NOT_RUN
    assert "it was green" in proofs.current(one).reasons[0]


def test_a_lab_that_never_ran_is_listed(lab: Path) -> None:
    (one,) = catalogue.load().labs.values()
    never = proofs.current(one)
    assert "never" in proofs.table([never])
    assert proofs.count([never]) == "0 of 1 labs green, 1 not run"


def test_stopping_proves_nothing_and_is_quick(lab: Path) -> None:
    (lab / "test_outcome.py").write_text("import time\ndef test_it(lab):\n    time.sleep(600)\n")
    run = contract.Run([1, 2, 3])
    threading.Timer(4, run.stop.set).start()
    began = time.monotonic()
    (one,) = catalogue.load().labs.values()
    (found,) = contract.prove([one], at_once=2, fresh=True, run=run)
    assert time.monotonic() - began < 30
    assert found.word == NOT_RUN
    assert proofs.last(one) is None


def test_junit_tells_each_step(lab: Path, tmp_path: Path) -> None:
    (lab / "solution.patch").write_text(tinylabs.patch("41"))
    found = prove()
    proofs.junit([found], tmp_path / "out/report.xml")
    (suite,) = ET.parse(tmp_path / "out/report.xml").getroot()  # noqa: S314 - we have just written it
    assert suite.get("name") == tinylabs.ID
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("9", "3", "0")
    (failed,) = [case for case in suite if case.get("name") == "solution"]
    assert failed[0].tag == "failure"


def test_the_committed_proofs_follow_the_course(
    lab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = prove()
    monkeypatch.setattr(proofs, "repo_dir", lambda: tmp_path / "repo")
    kept = tmp_path / "repo" / pages.PROOFS
    kept.parent.mkdir(parents=True)
    kept.write_text('{"gone/lab": {}}')
    assert proofs.write([found], catalogue.load())
    said = json.loads(kept.read_text())
    assert list(said) == [tinylabs.ID]
    assert said[tinylabs.ID]["verdict"] == "green"
    assert not proofs.write([found], catalogue.load())
