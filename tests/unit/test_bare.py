# SPDX-License-Identifier: GPL-3.0-or-later
"""How a bare boot ends, told from its serial line; QEMU is a process that writes one."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from klab.guest import bare, process, qemu

BANNER = "[    0.000000] Linux version 6.12.0-student (student@klab)"
PANIC = "[    1.000000] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000000"


def boot(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    lines: Sequence[str],
    *,
    ends: bool = False,
    until: str = "",
) -> bare.Booted:
    """A boot that writes these lines, and then ends or goes on."""
    said = "\n".join(lines) + "\n"

    @contextmanager
    def guest(words: Sequence[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
        assert words[words.index("-append") + 1] == "quiet"
        assert (folder / "initrd").read_bytes().startswith(b"070701")
        (folder / "console.log").write_text(said)
        running = subprocess.Popen([sys.executable, "-c", "" if ends else "import time; time.sleep(60)"])
        try:
            yield running
        finally:
            running.kill()
            running.wait()

    monkeypatch.setattr(process, "guest", guest)
    return bare.boot(tmp_path / "bzImage", {}, which="tcg", cmdline="quiet", deadline_s=3, until=until)


def test_it_powers_off(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    booted = boot(monkeypatch, tmp_path, [BANNER, "bye"], ends=True)
    assert (booted.how, booted.lines) == (bare.OFF, (BANNER, "bye"))


def test_it_restarts_and_the_second_boot_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    booted = boot(monkeypatch, tmp_path, [BANNER, "tiny: up", BANNER, "tiny: up"])
    assert (booted.how, booted.lines) == (bare.RESET, (BANNER, "tiny: up"))


def test_it_panics(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert boot(monkeypatch, tmp_path, [BANNER, PANIC]).how == bare.PANIC


def test_a_panic_that_restarts_is_a_panic(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert boot(monkeypatch, tmp_path, [BANNER, PANIC, BANNER]).how == bare.PANIC


def test_it_floods_its_console(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bare, "CONSOLE", 1000)
    assert boot(monkeypatch, tmp_path, ["x" * 2000]).how == bare.FLOOD


def test_nothing_more_is_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    booted = boot(monkeypatch, tmp_path, [BANNER, "probe: end"], until="probe: end")
    assert booted.how == bare.ON
    assert booted.wall_s < 2


def test_a_word_in_the_middle_of_a_line_is_not_a_boot(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    booted = boot(monkeypatch, tmp_path, [BANNER, "it says: Linux version 6", "bye"], until="bye")
    assert booted.how == bare.ON


def test_words_have_a_serial_line_and_no_more(tmp_path: Path) -> None:
    shape = qemu.Shape(tmp_path / "k", tmp_path / "i", "tcg", 128, 1, "quiet", cpu="la57=on")
    words = qemu.bare(shape, tmp_path)
    assert "virtio-serial-pci" not in words
    assert "-no-reboot" not in words, "a restart must be seen"
    assert words[words.index("-cpu") + 1].endswith(",la57=on")
