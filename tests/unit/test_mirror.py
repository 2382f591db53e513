# SPDX-License-Identifier: GPL-3.0-or-later
"""The Debian archive is taken from the host's apt, never from this repository."""

from __future__ import annotations

from pathlib import Path

import pytest

from klab import mirror

HOST = """\
Debian|bookworm|http://mirror.example/debian/
Debian|bookworm-updates|http://mirror.example/debian/
Debian|bookworm-security|http://secure.example/debian-security/
Debian Backports|bookworm-backports|http://back.example/debian/
Docker|bookworm|http://docker.example/linux/
""".splitlines()


def test_the_hosts_archives_are_found() -> None:
    assert mirror.archives(HOST, "bookworm") == (
        "http://mirror.example/debian",
        "http://secure.example/debian-security",
    )


def test_before_the_first_update_only_the_hosts_own_release_counts() -> None:
    lines = [line.replace("Debian|", "$(ORIGIN)|").replace("Docker|", "$(ORIGIN)|") for line in HOST]
    lines.insert(0, "$(ORIGIN)|nodistro|http://node.example/")
    assert mirror.archives(lines, "bookworm")[0] == "http://mirror.example/debian"
    assert mirror.archives(lines, "trixie") == ("", "")


def test_a_host_without_debian_gives_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KLAB_DEBIAN_MIRROR", raising=False)
    monkeypatch.setattr(mirror, "_ask", lambda argv: "Ubuntu|noble|http://ubuntu.example/ubuntu/\n")
    assert mirror.debian("trixie") == []


def test_the_environment_overrides_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror, "KEYRINGS", [])
    monkeypatch.setenv("KLAB_DEBIAN_MIRROR", "http://a.example/debian/ http://b.example/security/")
    assert mirror.debian("trixie") == [
        "deb http://a.example/debian trixie main",
        "deb http://a.example/debian trixie-updates main",
        "deb http://b.example/security trixie-security main",
    ]


def test_backports_come_beside_their_suite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror, "KEYRINGS", [])
    monkeypatch.setenv("KLAB_DEBIAN_MIRROR", "http://a.example/debian http://b.example/security")
    assert mirror.debian("trixie-backports") == [
        "deb http://a.example/debian trixie main",
        "deb http://a.example/debian trixie-updates main",
        "deb http://a.example/debian trixie-backports main",
        "deb http://b.example/security trixie-security main",
    ]


@pytest.mark.parametrize(
    ("line", "place"),
    [
        (
            "E: Failed to fetch http://a.example/debian/x.deb  Connection failed",
            "http://a.example/debian/x.deb",
        ),
        ("Could not resolve 'a.example'", "a.example"),
        ("Temporary failure resolving 'a.example'", "a.example"),
        ("Could not connect to a.example:80 (127.0.0.1)", "a.example"),
    ],
)
def test_an_unreachable_archive_is_named(tmp_path: Path, line: str, place: str) -> None:
    log = tmp_path / "log"
    log.write_text(f"something\n{line}\n")
    error = mirror.unreachable(log, "image: base")
    assert error is not None
    assert error.what.endswith(place)
    assert "KLAB_DEBIAN_MIRROR" in error.mend


def test_another_failure_is_not_blamed_on_the_archive(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("E: dpkg was interrupted\n")
    assert mirror.unreachable(log, "image: base") is None
