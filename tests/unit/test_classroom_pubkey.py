# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys are taken apart: what OpenSSH makes is taken, and all else is refused with its reason."""

import base64
import subprocess
from pathlib import Path

import pytest

from fixtures.rosters import key, line, number, wire
from klab.classroom import pubkey

SK = "sk-ssh-ed25519@openssh.com"
SK_ECDSA = "sk-ecdsa-sha2-nistp256@openssh.com"
# The generator of P-256 (FIPS 186-4, D.1.2.3): ssh-keygen looks whether a point is on its curve.
POINT = bytes.fromhex(
    "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
    "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
)
ODD = (1 << 2047) + 1  # of 2048 bits


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys")


def keygen(folder: Path, kind: str, bits: int) -> Path:
    path = folder / f"{kind}{bits}"
    argv = ["ssh-keygen", "-q", "-t", kind, "-b", str(bits), "-N", "", "-C", "who@example.org", "-f", path]
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)
    return path


@pytest.mark.parametrize(
    ("kind", "bits"), [("ed25519", 256), ("ecdsa", 256), ("ecdsa", 384), ("ecdsa", 521), ("rsa", 2048)]
)
def test_what_openssh_makes_is_taken(made, kind, bits):
    path = keygen(made, kind, bits)
    text = path.with_suffix(".pub").read_text()
    assert pubkey.parse(text).line == text.strip()
    with pytest.raises(ValueError, match="a private key"):
        pubkey.parse(path.read_text())


def test_rsa_of_1024_bits_is_too_short(made):
    with pytest.raises(ValueError, match="RSA of 1024 bits"):
        pubkey.parse(keygen(made, "rsa", 1024).with_suffix(".pub").read_text())


@pytest.mark.parametrize(
    "text",
    [
        line(SK, b"\x01" * 32, "ssh:"),
        line(SK_ECDSA, "nistp256", POINT, "ssh:"),
        line("ssh-rsa", number(65537), number(ODD)),
        key(1),
    ],
)
def test_openssh_reads_what_is_taken(tmp_path, text):
    assert pubkey.parse(text).line == text
    (tmp_path / "key.pub").write_text(f"{text}\n")
    subprocess.run(["ssh-keygen", "-l", "-f", tmp_path / "key.pub"], check=True, capture_output=True)


GOOD = key("good")
BLOB = GOOD.split()[1]
REFUSED = {
    "nothing after its type": ("ssh-ed25519", "nothing after"),
    "no base64": ("ssh-ed25519 this-is-not-base64!", "no base64"),
    "wrapped": (f"ssh-ed25519 {BLOB[:20]} {BLOB[20:]}", "cut off"),
    "cut off": (f"ssh-ed25519 {BLOB[:40]}", "cut off"),
    "two kinds": (GOOD.replace("ssh-ed25519", "ssh-rsa", 1), "two kinds"),
    "short ed25519": (line("ssh-ed25519", b"\x01" * 31), "32 bytes"),
    "more than a key": (line("ssh-ed25519", b"\x01" * 32, b"more"), "after its end"),
    "options": (f'command="/bin/sh" {GOOD}', "options"),
    "no type": (BLOB, "type is missing"),
    "dsa": (f"ssh-dss {BLOB}", "DSA"),
    "certificate": (f"ssh-ed25519-cert-v01@openssh.com {BLOB}", "certificate"),
    "a name": ("Ada Example", "does not begin with a type"),
    "two lines": (f"{GOOD}\n{GOOD}", "more than one line"),
    "other form": ("---- BEGIN SSH2 PUBLIC KEY ----", "ssh-keygen -i"),
    "putty": ("PuTTY-User-Key-File-3: ssh-ed25519", "private key"),
    "even exponent": (line("ssh-rsa", number(4), number(ODD)), "no RSA key"),
    "even modulus": (line("ssh-rsa", number(65537), number(ODD - 1)), "no RSA key"),
    "negative modulus": (line("ssh-rsa", number(65537), b"\xff" * 257), "no RSA key"),
    "huge rsa": (line("ssh-rsa", number(65537), number((1 << 20000) + 1)), "RSA of 20001 bits"),
    "another curve": (line("ecdsa-sha2-nistp256", "nistp384", POINT), "no point"),
    "compressed point": (line("ecdsa-sha2-nistp256", "nistp256", b"\x02" + b"\x11" * 32), "no point"),
    "no form of a point": (line("ecdsa-sha2-nistp256", "nistp256", b"\x05" + POINT[1:]), "no point"),
    "empty point": (line("ecdsa-sha2-nistp256", "nistp256", b""), "no point"),
    "no application": (line(SK, b"\x01" * 32, b""), "application"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused(what):
    text, words = REFUSED[what]
    with pytest.raises(ValueError, match=words):
        pubkey.parse(text)


def test_every_cut_is_noticed():
    blob = base64.b64decode(BLOB)
    for size in range(1, len(blob)):
        with pytest.raises(ValueError, match=r"cut off|32 bytes|two kinds"):
            pubkey.parse(f"ssh-ed25519 {base64.b64encode(blob[:size]).decode()}")


def test_a_comment_does_not_make_another_key_and_cannot_hide():
    plain = pubkey.parse(GOOD)
    assert pubkey.parse(f"{GOOD} and more").blob == plain.blob
    assert pubkey.parse(f"ssh-ed25519 {BLOB} turned \u202e round").comment == ""
    assert plain.blob == wire("ssh-ed25519", base64.b64decode(BLOB)[-32:])
