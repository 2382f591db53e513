# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done with what guests show: kept, compared with stock, told; the guests are fakes.

Real guests of real kernels: tests/flavours.
"""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from klab import accel
from klab.cli.kernel import command
from klab.errors import KlabError
from klab.guest.runner import Ran
from klab.promise import model, observe
from klab.promise.verdict import CANNOT_TELL, NOT_OBSERVED, OBSERVED
from klab.store import Entry

PROMISE = "{{why: because it is worth having, how: by some shell commands, shows: [splat], stock: {stock}}}"


class Guests:
    """What guests of each kernel write, or the error that loses them, and who has run."""

    def __init__(self) -> None:
        self.says: dict[str, str | KlabError] = {}
        self.ran: list[str] = []

    def run(self, kernel: Path, *_: object, **options: object) -> Ran:
        name = kernel.parent.name
        self.ran.append(name)
        said = self.says[name]
        if isinstance(said, KlabError):
            raise said
        options["on_output"](said.encode())  # type: ignore[operator]
        return Ran(0, said.encode(), 1.5)


@pytest.fixture
def guests(tmp_path, monkeypatch):
    """A flavour `mine` beside `stock`, both with kernels, and one promise."""
    made = Guests()
    kernels = {}
    for name in ("mine", "stock"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config").write_text("CONFIG_A=y\n# CONFIG_B is not set\n")
        symbols = {"A": {"value": "y"}, "B": {"value": "n"}, "C": {"value": "y", "dropped": "n"}}
        facts = {"flavour": name, "release": "6.12", "symbols": symbols}
        kernels[name] = Entry("kernels", name * 8, tmp_path / name, facts)

    def load(name: str) -> SimpleNamespace:
        return SimpleNamespace(name=name, cmdline=(), toolchain="gcc", promises=("one",))

    monkeypatch.setenv("KLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KLAB_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(model, "promises_dir", lambda: tmp_path / "promises")
    monkeypatch.setattr(observe.runner, "run", made.run)
    monkeypatch.setattr(observe.probes, "files", lambda *_: {})
    monkeypatch.setattr(observe.flavours, "load", load)
    monkeypatch.setattr(observe.flavours, "names", lambda: list(kernels))
    monkeypatch.setattr(observe.artefact, "get", lambda name, _=(): kernels[name])
    monkeypatch.setattr(observe.artefact, "find", kernels.get)
    monkeypatch.setattr(accel, "probe", lambda: accel.Verdict("tcg", "", 0))
    write(tmp_path)
    return made


def write(tmp_path: Path, stock: str = "silent") -> None:
    folder = tmp_path / "promises/one"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "promise.yml").write_text(PROMISE.format(stock=stock))
    (folder / "run.sh").write_text("true\n")


SHOWN, SILENT = "a splat\nklab: provoked\n", "klab: provoked\n"


def test_stock_is_looked_at_once_for_a_promise_as_it_is(guests, tmp_path):
    guests.says = {"mine": SHOWN, "stock": SILENT}
    assert [v.word for v in observe.observe("mine")] == [OBSERVED]
    assert [v.word for v in observe.observe("mine")] == [OBSERVED]
    assert guests.ran == ["mine", "stock", "mine"]
    (tmp_path / "promises/one/run.sh").write_text("false\n")
    observe.observe("mine")
    assert guests.ran[3:] == ["mine", "stock"]


def test_a_stock_that_was_not_provoked_is_looked_at_again(guests):
    guests.says = {"mine": SHOWN, "stock": KlabError("the guest was lost")}
    (verdict,) = observe.observe("mine")
    assert (verdict.word, verdict.reason) == (CANNOT_TELL, "on stock: the guest was lost")
    guests.says["stock"] = SILENT
    assert observe.observe("mine")[0].word == OBSERVED


def test_nothing_is_compared_where_nothing_was_shown(guests):
    guests.says = {"mine": SILENT}
    assert observe.observe("mine")[0].word == NOT_OBSERVED
    assert guests.ran == ["mine"]


def test_stock_is_not_asked_what_it_may_show(guests, tmp_path):
    write(tmp_path, stock="same")
    guests.says = {"mine": SHOWN}
    assert observe.observe("mine")[0].word == OBSERVED


def test_what_was_seen_is_kept(guests):
    guests.says = {"mine": SHOWN, "stock": SILENT}
    (verdict,) = observe.observe("mine")
    kept = json.loads(observe.proofs(verdict.here.kernel).read_text())
    assert kept["verdicts"]["one"]["word"] == OBSERVED
    assert kept["findings"]["one"]["evidence"] == ["a splat"]
    assert Path(kept["findings"]["one"]["text"]).read_text() == SHOWN


def test_a_promise_that_the_flavour_does_not_make_is_refused(guests, tmp_path):
    (tmp_path / "promises/two").mkdir()
    (tmp_path / "promises/two/promise.yml").write_text(PROMISE.format(stock="same"))
    (tmp_path / "promises/two/run.sh").write_text("true\n")
    with pytest.raises(KlabError, match="does not promise two"):
        observe.observe("mine", ["two"])
    with pytest.raises(KlabError, match="there is no promise 'three'"):
        observe.observe("mine", ["three"])


@pytest.mark.parametrize(
    ("mine", "code"),
    [(SHOWN, 0), (SILENT, 1), (KlabError("lost"), 2)],
    ids=["observed", "not observed", "cannot tell"],
)
def test_the_exit_status_tells(guests, mine, code):
    guests.says = {"mine": mine, "stock": SILENT}
    said = CliRunner().invoke(command, ["observe", "--flavour", "mine", "--json"])
    assert said.exit_code == code
    answer = json.loads(said.stdout)
    assert answer["verdicts"][0]["promise"] == "one"
    assert "one" in said.stderr


def test_the_guests_configuration_is_compared(guests, tmp_path):
    kernel = observe.artefact.get("mine")
    assert observe.configuration(kernel, b"x\nCONFIG_A=y\n# CONFIG_B is not set\ny") == [
        "config: /proc/config.gz equals the artefact's config",
        "config: 2 of 2 requested symbols",
    ]
    assert observe.configuration(kernel, b"CONFIG_B=m\n") == [
        "config: /proc/config.gz differs from the artefact's config",
        "config: CONFIG_A is n, not y",
        "config: CONFIG_B is m, not n",
        "config: 0 of 2 requested symbols",
    ]
