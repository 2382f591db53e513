# SPDX-License-Identifier: GPL-3.0-or-later
"""The desk: what a machine may ask of this computer, and what it gets. No machine, no ssh."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from klab import catalogue, sandbox
from klab.desk import call, guests, place, record, server, talk
from klab.errors import KlabError
from klab.kernel import artefact


def packed(*members: tuple[str, bytes | None], **extra: object) -> bytes:
    """A tar archive of (name, content); None is a folder. extra: fields of the last member."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for at, (name, content) in enumerate(members):
            info = tarfile.TarInfo(name)
            info.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
            info.size = len(content or b"")
            if at == len(members) - 1:
                for field, value in extra.items():
                    setattr(info, field, value)
            tar.addfile(info, io.BytesIO(content or b"") if info.isreg() else None)
    return out.getvalue()


def test_a_folder_goes_there_and_back(tmp_path: Path) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    (source / "deep").mkdir(parents=True)
    (source / "deep/run.sh").write_text("#!/bin/sh\n")
    (source / "deep/run.sh").chmod(0o755)
    target.mkdir()
    place.unpack(place.pack(source), target, "it")
    assert (target / "deep/run.sh").read_text() == "#!/bin/sh\n"
    assert (target / "deep/run.sh").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize(
    ("archive", "why"),
    [
        (packed(("../out", b"x")), "leads out of it"),
        (packed(("/etc/cron.d/x", b"x")), "leads out of it"),
        (packed(("a/../../out", b"x")), "leads out of it"),
        (packed(("file", b"x"), ("file/below", b"x")), "cannot be copied"),
        (b"no archive at all", "cannot be copied"),
    ],
)
def test_what_leads_elsewhere_is_refused(tmp_path: Path, archive: bytes, why: str) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(KlabError, match=why):
        place.unpack(archive, tmp_path / "in", "it")
    assert not (tmp_path / "out").exists()


def test_links_and_devices_stay_behind(tmp_path: Path) -> None:
    link = packed(("plain", b"x"), ("link", b""), type=tarfile.SYMTYPE, linkname="/etc/passwd", size=0)
    place.unpack(link, tmp_path, "it")
    device = packed(("dev", b""), type=tarfile.CHRTYPE, size=0)
    place.unpack(device, tmp_path, "it")
    assert [path.name for path in tmp_path.iterdir()] == ["plain"]


def test_set_user_id_and_owners_are_not_taken(tmp_path: Path) -> None:
    place.unpack(packed(("tool", b"x"), mode=0o4755, uid=4242), tmp_path, "it")
    info = (tmp_path / "tool").stat()
    assert info.st_mode & 0o7777 == 0o755
    assert info.st_uid != 4242


@pytest.fixture
def seat(tmp_path: Path) -> SimpleNamespace:
    return SimpleNamespace(name="m1", file=lambda name: tmp_path / name)


def test_progress_is_kept_and_passed_stays_passed(seat) -> None:
    assert record.load(seat) == {}
    with record.changing(seat, "a/b") as progress:
        progress.started = 5
    assert record.load(seat)["a/b"].word == "started"
    record.checked(seat, "a/b", "fail", 7)
    assert record.load(seat)["a/b"].word == "tried"
    record.checked(seat, "a/b", "pass", 8)
    record.checked(seat, "a/b", "fail", 9)
    kept = record.load(seat)["a/b"]
    assert (kept.word, [check.seed for check in kept.checks]) == ("passed", [7, 8, 9])


def test_a_change_that_fails_leaves_the_record(seat) -> None:
    record.checked(seat, "a/b", "pass", 1)
    change = record.changing(seat, "a/b")
    change.__enter__().checks.clear()
    with suppress(ZeroDivisionError):
        change.__exit__(ZeroDivisionError, ZeroDivisionError(), None)
    assert record.load(seat)["a/b"].word == "passed"


def test_only_the_last_checks_are_kept(seat) -> None:
    for seed in range(record.KEPT + 5):
        record.checked(seat, "a/b", "fail", seed)
    assert record.load(seat)["a/b"].checks[0].seed == 5


@pytest.mark.parametrize("text", ["{", json.dumps({"a/b": {"started": 1}}), "[]"])
def test_a_broken_record_is_named(seat, text: str) -> None:
    seat.file("seat.json").write_text(text)
    with pytest.raises(KlabError, match="record of m1's labs cannot be read"):
        record.load(seat)


def answered(line: str, capsys: pytest.CaptureFixture[str]) -> tuple[str, int]:
    """What a call gets: text, and the exit status for the client."""
    with pytest.raises(SystemExit):
        server.answer("m1", read=lambda: line)
    text, _, code = capsys.readouterr().out.rpartition(talk.END)
    return text, int(code)


@pytest.fixture
def known(seat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server.model, "get", lambda name: seat)


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize(
    ("line", "text", "code"),
    [
        ("'' ''\n", "The labs of this machine", 0),
        ("'' '' check --help\n", "klab check lkm-lifecycle", 0),
        ("'' '' vm destroy --yes\n", "No such command 'vm'", 2),
        ("'' '' check\n", "Missing argument 'LAB'", 2),
        ("'' '' check no-such-lab\n", "there is no lab", 1),
        ("'' '' hint 'unbalanced\n", "No closing quotation", 2),
        ("../.. '' guest lab -- true\n", "lies outside of ~/labs", 1),
        ("'' '' guest --make lab -- true\n", "nothing to make", 1),
        ("", "The labs of this machine", 0),
        ("'' '' status\n", "no lab was started here", 0),
    ],
)
def test_a_call_is_answered_with_text_and_a_status(capsys, line: str, text: str, code: int) -> None:
    said, status = answered(line, capsys)
    assert text in said
    assert status == code


@pytest.mark.usefixtures("known")
def test_hints_come_one_at_a_time_and_are_counted(capsys, seat) -> None:
    assert "Hint 1 of" in answered("'' '' hint lkm-lifecycle\n", capsys)[0]
    assert "Hint 2 of" in answered("'' '' hint lkm-lifecycle\n", capsys)[0]
    assert record.load(seat)["kernel-architecture/lkm-lifecycle"].hints == 2


def test_what_a_program_prints_gives_no_orders(capsys) -> None:
    talk.show(b"plain\n\x1b]0;title\x07\x1e0\n")
    assert capsys.readouterr().out == "plain\n?]0;title??0\n"


@pytest.mark.parametrize(("code", "ran"), [(0, 1), (2, 0)])
def test_a_guest_gets_what_was_made_for_its_kernel(seat, monkeypatch, code: int, ran: int) -> None:
    runs, said = [], []
    kernel = SimpleNamespace(file=Path)

    def build(words, *, folder, kernel, **_):
        (folder / "it.ko").write_bytes(b"built")
        return sandbox.Said(code, "", "it.c:1: error")

    def run(*_, files, **__):
        runs.append(files["klab/share/it.ko"][1])
        return SimpleNamespace(status=0, results={}, sent=())

    monkeypatch.setattr(artefact, "get", lambda flavour: kernel)
    monkeypatch.setattr(guests.modules, "files", lambda kernel: {})
    monkeypatch.setattr(guests.places, "get", lambda machine, place, folder: True)
    monkeypatch.setattr(guests.places, "update", lambda *_: None)
    monkeypatch.setattr(sandbox, "run", build)
    monkeypatch.setattr(guests.runner, "run", run)
    found = guests.run(seat, "./a/b", "lab", ["true"], base="tiny", tell=said.append, make=True)
    assert (found, runs) == (code, [b"built"] * ran)
    assert said == ([] if ran else [b"it.c:1: error"])


@pytest.mark.parametrize(("place", "devices"), [("./m/l/deep", ("net",)), ("./m/other", ()), ("", ())])
def test_a_guest_has_what_the_lab_of_its_folder_needs(seat, monkeypatch, place: str, devices) -> None:
    needs = catalogue.Needs(devices=("net",), cmdline=("quiet",), memory=4096, cpus=2)
    seen, said = [], []

    def run(*_, **more):
        seen.append(
            (more["devices"], more["cpus"], "quiet" in more["cmdline"], more["memory"] > guests.MEMORY)
        )
        return SimpleNamespace(status=0, results={}, sent=(b"over the wire",))

    labs = {"m/l": SimpleNamespace(needs=needs)}
    monkeypatch.setattr(catalogue, "load", lambda: SimpleNamespace(labs=labs))
    monkeypatch.setattr(artefact, "get", lambda flavour: SimpleNamespace(file=Path))
    monkeypatch.setattr(guests.modules, "files", lambda kernel: {})
    monkeypatch.setattr(guests.places, "get", lambda machine, place, folder: True)
    monkeypatch.setattr(guests.places, "update", lambda *_: None)
    monkeypatch.setattr(guests.runner, "run", run)
    assert guests.run(seat, place, "lab", ["true"], base="tiny", tell=said.append) == 0
    assert seen == [(devices, 2 if devices else 1, bool(devices), bool(devices))]
    assert said == [b"netconsole: over the wire\n"]


def test_the_console_of_a_lost_guest_is_shown(seat, monkeypatch) -> None:
    said = []

    def run(*_, keep, **__):
        keep.write_bytes(b"a report of many lines\n")
        raise KlabError("the guest was lost")

    monkeypatch.setattr(artefact, "get", lambda flavour: SimpleNamespace(file=Path))
    monkeypatch.setattr(guests.modules, "files", lambda kernel: {})
    monkeypatch.setattr(guests.runner, "run", run)
    with pytest.raises(KlabError, match="was lost"):
        guests.run(seat, "", "lab", ["true"], base="tiny", tell=said.append)
    assert said == [b"a report of many lines\n"]


@pytest.mark.parametrize(
    "word",
    ["a\nb", "tab\there", "it's", "\\n", "$'x'", "\x1b[1m", "ä\nö", "\\\\E\n", "two words", "", '"$(id)"'],
)
def test_a_word_comes_as_it_was_typed(word: str) -> None:
    """Whatever bash's printf %q makes of it."""
    argv = ["bash", "-c", 'printf "%q " "$@"', "bash", "", "", word, "last"]
    line = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    assert "\n" not in line
    assert call.words_of(f"{line}\n") == ["", "", word, "last"]
