# SPDX-License-Identifier: GPL-3.0-or-later
"""Sealed answers: unreadable without the key, and with it all works as before."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from fixtures import tinylabs
from klab import catalogue
from klab.cli import main
from klab.errors import KlabError
from klab.lab import contract, seal

LAB = tinylabs.ID
WORDS = (b"One too many", b"--- a/answer")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny course, with a key named; its lab's folder."""
    tinylabs.without_kernel(tmp_path, monkeypatch)
    lab = tinylabs.lay_out(tmp_path, monkeypatch)
    key = tmp_path / "key"
    key.write_text("of the teacher\n")
    monkeypatch.setenv(seal.KEY, str(key))
    return lab


def klab(*words: str, code: int = 0) -> str:
    done = CliRunner().invoke(main, words)
    assert done.exit_code == code, done.output
    return done.output


def answers(folder: Path) -> list[Path]:
    return [folder / "solution.patch", folder / "wrong/near.patch"]


def test_a_seal_hides_answers_until_it_is_opened(folder: Path) -> None:
    before = [path.read_bytes() for path in answers(folder)]
    assert "wrong/near.patch" in klab("seal", "all")
    for path in answers(folder):
        assert not any(word in path.read_bytes() for word in WORDS)
    assert "all sealed: 2" in klab("seal", "all")
    klab("unseal", LAB)
    assert [path.read_bytes() for path in answers(folder)] == before


def test_check_mode_seals_nothing(folder: Path) -> None:
    assert "would be sealed" in klab("seal", "all", "--check")
    assert not any(seal.sealed(path) for path in answers(folder))


def test_the_contract_works_on_sealed_answers(folder: Path) -> None:
    klab("seal", "all")
    klab("catalogue", "check")
    lab = catalogue.load().labs[LAB]
    (proof,) = contract.prove([lab], at_once=1, fresh=True, run=contract.Run(contract.seeds(1)))
    assert proof.word == "green", proof
    assert "wrong near" in [step.name for step in proof.steps]


def test_ansible_opens_what_klab_sealed(folder: Path) -> None:
    klab("seal", "all")
    vault = Path(sys.executable).with_name("ansible-vault")
    said = subprocess.run(
        [vault, "view", folder / "solution.patch"], capture_output=True, text=True, check=True
    )
    assert said.stdout == tinylabs.patch("42")


def test_without_a_key_nothing_is_claimed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    klab("seal", "all")
    monkeypatch.delenv(seal.KEY)
    assert klab("catalogue", "check").count("not told, for it is sealed") == 2
    lab = catalogue.load().labs[LAB]
    (proof,) = contract.prove([lab], at_once=1, fresh=True, run=contract.Run(contract.seeds(1)))
    words = {step.name: step.word for step in proof.steps}
    assert words["solution"] == words["wrong near"] == "cannot tell"
    assert f"export {seal.KEY}" in klab("unseal", "all", code=1)


@pytest.mark.parametrize(("key", "words"), [("another\n", "cannot be opened"), ("", "cannot be read")])
def test_a_wrong_key_is_named_and_harms_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, words: str
) -> None:
    klab("seal", "all")
    kept = [path.read_bytes() for path in answers(folder)]
    wrong = tmp_path / "wrong-key"
    wrong.write_text(key)
    monkeypatch.setenv(seal.KEY, str(wrong))
    assert words in klab("unseal", "all", code=1)
    assert [path.read_bytes() for path in answers(folder)] == kept
    with pytest.raises(KlabError, match=words):
        seal.text(answers(folder)[0])
