# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalogue as commands and pages show it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from klab import catalogue
from klab.catalogue import pages
from klab.cli import main

SAMPLES = Path(__file__).resolve().parents[1] / "fixtures/labs"


@pytest.fixture(autouse=True)
def samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KLAB_LABS", str(SAMPLES))


def klab(*words: str, code: int = 0) -> str:
    said = CliRunner().invoke(main, list(words))
    assert said.exit_code == code, said.output
    return said.output


def test_list_names_modules_and_labs():
    said = klab("list")
    assert "Track 1: Samples" in said
    assert "Sums of many numbers (10 min, level 1)" in said
    assert "counter" not in klab("list", "sums")


def test_list_for_programs():
    found = json.loads(klab("list", "samples/sums", "--json"))
    (lab,) = found["labs"]
    assert (lab["id"], lab["kernel"], lab["covers"]) == ("samples/sums", "lab", ["B2"])


def test_show_a_lab_and_a_module():
    assert "covers:       B2 numbers that do not fit an int" in klab("show", "sums")
    said = klab("show", "samples")
    assert "B2   numbers that do not fit an int: sums" in said


def test_show_wants_one_lab():
    assert "is not one lab" in klab("show", "all", code=1)


def test_paths_that_are_not_there():
    assert "path:nowhere" in klab("path", "nowhere", code=1)


def test_check_says_no_and_names_the_place():
    said = json.loads(klab("catalogue", "check", "--json", code=1))
    assert any("sums/README.md:1: no section 'Goal'" in error["what"] for error in said["errors"])


def test_pages_show_the_last_proof(tmp_path):
    course = catalogue.load()
    body = {"date": "2026-01-02", "kernel": "abc", "verdict": "green", "wall_s": 41.6}
    data = tmp_path / "docs/reference/data/proofs.json"
    data.parent.mkdir(parents=True)
    data.write_text(json.dumps({"samples/sums": body}))
    made = pages.pages(course, tmp_path)
    proof = "green, 2026-01-02, kernel `abc`, 42 s"
    sums = f"| B2 numbers that do not fit an int | [sums](../../labs/samples/sums/README.md) | {proof} |"
    assert sums in made["coverage.md"]
    assert f"Labs: {len(course.labs)}, 1 of them green." in made["coverage.md"]
    assert f"- last proof: {proof}" in made["modules/samples.md"]
    assert f"- last proof: {pages.NOT_YET}" in made["modules/samples.md"]
    assert "samples/counter" in made["catalogue.md"]
