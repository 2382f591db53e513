# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a line is a public key: taken apart down to its last byte (RFC 4253, 5656, 8709; PROTOCOL.u2f).

sshd passes over a line that it cannot read without a word to the student, so it is told here.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

RSA_BITS = range(2048, 16384 + 1)
# The length of an uncompressed point: a byte and two coordinates.
POINTS = {"nistp256": 65, "nistp384": 97, "nistp521": 133}
KINDS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
)
PRIVATE = re.compile(r"PRIVATE KEY|PuTTY-User-Key-File")
CONTROL = re.compile(r"[\x00-\x1f\x7f\u0085\u2028\u2029]")


@dataclass(frozen=True)
class Key:
    """A public key. blob: what makes it itself, whatever the comment says."""

    kind: str
    blob: bytes
    comment: str = ""

    @property
    def line(self) -> str:
        """As authorized_keys wants it."""
        return f"{self.kind} {base64.b64encode(self.blob).decode()} {self.comment}".rstrip()


class _Parts:
    """The fields of a blob, each with its length before it."""

    def __init__(self, blob: bytes) -> None:
        self.left = blob

    def take(self) -> bytes:
        """The next field. Raises ValueError when the blob ends within it."""
        size = int.from_bytes(self.left[:4], "big")
        if len(self.left) < 4 + size:
            raise ValueError("it is cut off")
        field, self.left = self.left[4 : 4 + size], self.left[4 + size :]
        return field

    def number(self) -> int:
        """The next field as an integer."""
        return int.from_bytes(self.take(), "big", signed=True)


def parse(text: str) -> Key:
    """The key that a line holds. Raises ValueError, which says why it holds none."""
    line = text.strip()
    if PRIVATE.search(line):
        raise ValueError("it is a private key: make a new pair, for this one is known now, and take its .pub")
    if line.startswith("---- BEGIN SSH2"):
        raise ValueError("it is in another form: ssh-keygen -i -f FILE writes OpenSSH's")
    if CONTROL.search(line):
        raise ValueError("it is more than one line of text")
    kind, _, rest = line.partition(" ")
    encoded, _, comment = rest.strip().partition(" ")
    if kind not in KINDS:
        raise ValueError(_unknown(kind, line))
    try:
        blob = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("its second word is no base64: it was cut off or wrapped") from None
    if not blob:
        raise ValueError("there is nothing after its type")
    _check(kind, _Parts(blob))
    return Key(kind, blob, comment.strip() if comment.isprintable() else "")


def _unknown(kind: str, line: str) -> str:
    if kind in ("ssh-dss", "ssh-dsa"):
        return "DSA is no longer accepted: ssh-keygen -t ed25519 makes a good one"
    if "-cert-v01@" in kind:
        return "it is a certificate: take the key's own .pub"
    if any(f" {known} " in f" {line} " for known in KINDS):
        return "something stands before its type: options such as command= are not accepted"
    if kind.startswith("AAAA"):
        return "its type is missing: the line begins with ssh-ed25519 or the like"
    return "it does not begin with a type such as ssh-ed25519"


def _check(kind: str, parts: _Parts) -> None:
    """Raise ValueError unless the fields are those of a key of this kind."""
    inner = parts.take().decode("ascii", "replace")
    if inner != kind:
        raise ValueError("its type and its content are of two kinds")
    if kind == "ssh-rsa":
        exponent, modulus = parts.number(), parts.number()
        if exponent < 3 or exponent % 2 == 0 or modulus < 0 or modulus % 2 == 0:
            raise ValueError("its numbers make no RSA key")
        if modulus.bit_length() not in RSA_BITS:
            bits = modulus.bit_length()
            raise ValueError(f"RSA of {bits} bits is not accepted: {RSA_BITS[0]} or more, or ed25519")
    elif "ed25519" in kind:
        if len(parts.take()) != 32:
            raise ValueError("an ed25519 key has 32 bytes, this one has not")
    else:
        curve = parts.take().decode("ascii", "replace")
        point = parts.take()
        if f"-{curve}" not in kind or len(point) != POINTS.get(curve) or point[0] != 4:
            raise ValueError("it is no point of its curve")
    if kind.startswith("sk-") and not parts.take():
        raise ValueError("its application is missing")
    if parts.left:
        raise ValueError("something stands after its end")
