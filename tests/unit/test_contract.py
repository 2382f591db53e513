# SPDX-License-Identifier: GPL-3.0-or-later
"""In which order a contract takes labs, and what it says before the first step."""

import time
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from fixtures import tinylabs
from klab import catalogue
from klab.catalogue import Lab
from klab.cli import contract as cli
from klab.lab import contract, proofs
from klab.lab.proofs import GREEN, NOT_RUN, Proof, Step


@pytest.fixture
def labs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Lab]:
    """Three labs: one took a minute, one five, one was never proved."""
    tinylabs.without_kernel(tmp_path, monkeypatch)
    tinylabs.lay_out(tmp_path, monkeypatch)
    lab = catalogue.load().labs[tinylabs.ID]
    three = [replace(lab, id=f"{lab.module}/{name}") for name in ("minute", "long", "new")]
    for each, wall_s in zip(three, (60.0, 300.0), strict=False):
        proofs.keep(Proof(each.id, (Step("start", GREEN, "", 1.0),), wall_s, 1, "an older key", "", "guest"))
    return three


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which labs `prove` has taken, in order; none is really run."""
    names: list[str] = []

    def run(self: contract.Run, lab: Lab, bench: object) -> Proof:
        names.append(lab.name)
        return Proof(lab.id, (), 1.0, 1, "", "", lab.where)

    monkeypatch.setattr(contract.Run, "lab", run)
    return names


@pytest.fixture
def told(labs: list[Lab], heard: list[str]) -> list[str]:
    """What `prove` said of the labs, and which it took."""
    contract.prove(labs, at_once=1, fresh=True, run=contract.Run([1], tell=heard.append))
    return heard


def test_what_takes_longest_comes_first_and_what_is_unknown_before(told: list[str]) -> None:
    assert told[-3:] == ["new", "long", "minute"]


def test_an_estimate_comes_before_the_first_lab(told: list[str]) -> None:
    assert "3 labs to prove, 1 at a time: about 6 min, as the last time" in told[:-3]


def test_a_kernel_that_is_not_built_is_named_before_the_first_lab(told: list[str], labs: list[Lab]) -> None:
    kernel = labs[0].kernel
    (line,) = [line for line in told[:-3] if line.startswith(f"no kernel {kernel}")]
    assert line.endswith(f"klab kernel build --flavour {kernel}")
    assert all(lab.id in line for lab in labs)


def test_what_found_an_answer_wrong_is_known_here_or_from_where_it_was_proved(
    labs: list[Lab], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, _, new = labs
    there = {"starter": "test_of_there", "wrong one": "test_one"}
    monkeypatch.setattr(proofs.pages, "proved", lambda repo: {lab.id: {"caught": there} for lab in labs})
    assert proofs.caught(new) == there
    steps = (Step("starter", GREEN, "", 1.0, test="test_of_here"), Step("solution", GREEN, "", 1.0))
    proofs.keep(Proof(here.id, steps, 1.0, 1, "", "", "guest"))
    assert proofs.caught(here) == {**there, "starter": "test_of_here"}


def test_what_waits_longest_for_a_proof_comes_first_where_time_is_short(
    labs: list[Lab], heard: list[str]
) -> None:
    contract.prove(labs, at_once=1, fresh=True, run=contract.Run([1], until=time.time() + 60))
    assert heard == ["new", "minute", "long"]


def test_a_lab_that_had_no_time_is_not_run_and_keeps_its_last_proof(labs: list[Lab]) -> None:
    found = contract.prove(labs, at_once=1, fresh=True, run=contract.Run([1], until=time.time() - 1))
    assert [(proof.word, proof.late) for proof in found] == [(NOT_RUN, True)] * 3
    assert "3 not run" in proofs.count(found)
    assert "no time left" in proofs.table(found)
    assert proofs.last(labs[0]).at == 1
    assert proofs.last(labs[2]) is None


def test_what_had_no_time_is_no_failure_and_never_green(
    labs: list[Lab], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "_labs", lambda words: (catalogue.load(), labs))
    said = CliRunner().invoke(cli.group, ["contract", "--until", "2000-01-01T00:00"])
    assert said.exit_code == 0, said.output
    assert "0 of 3 labs green, 3 not run" in said.output
