# SPDX-License-Identifier: GPL-3.0-or-later
"""Where two builds of one kernel differ: down to a package's member and an ELF section.

Packages are opened by dpkg-deb and ELF headers read by readelf, both of the build root.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import subprocess
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from klab import digest as digests
from klab.errors import KlabError
from klab.kernel import root

HERE = "/klab/compare"
SHOWN = 20  # lines about one file; a systematic difference shows in fewer
# `readelf -SW`: [ 1] .text PROGBITS ffffffff81000000 200000 1400000 …
_SECTION = re.compile(
    r"^\s*\[\s*\d+\] (?P<name>\S+)\s+(?P<type>[A-Z]\S+)"
    r"\s+[0-9a-f]+\s+(?P<at>[0-9a-f]+)\s+(?P<size>[0-9a-f]+)",
    re.MULTILINE,
)


def _said(tools: root.Toolroot, path: Path, *argv: str) -> subprocess.CompletedProcess[bytes]:
    """Run a tool on the file `path`, whose name it gets last."""
    bound = tools.with_binds({HERE: path.parent})
    return subprocess.run(
        bound.argv([*argv, f"{bound.inside(HERE)}/{path.name}"]),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        env={**os.environ, **bound.env()},
    )


def sections(tools: root.Toolroot, path: Path) -> dict[str, str]:
    """SHA-256 of each section of an ELF file by name; nothing when it is none."""
    found: dict[str, str] = {}
    with path.open("rb") as stream:
        if stream.read(4) != b"\x7fELF":
            return found
        said = _said(tools, path, "readelf", "-SW").stdout
        for section in _SECTION.finditer(said.decode(errors="replace")):
            if section["type"] in {"NULL", "NOBITS"}:
                continue
            stream.seek(int(section["at"], 16))
            found[section["name"]] = hashlib.sha256(stream.read(int(section["size"], 16))).hexdigest()
    return found


def _members(tools: root.Toolroot, package: Path, extract: Mapping[str, Path]) -> dict[str, tuple[str, ...]]:
    """A package's members: what tar says of each, and its SHA-256; those in `extract` are kept."""
    found: dict[str, tuple[str, ...]] = {}
    for part in ("ctrl", "fsys"):
        done = _said(tools, package, "dpkg-deb", f"--{part}-tarfile")
        if done.returncode:
            raise KlabError(
                f"{package.name} cannot be opened: {done.stderr.decode(errors='replace').strip()}",
                step="kernel_build: compare",
                mend=f"remove {package.parent} and build again",
            )
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
            for member in archive:
                name = f"{'DEBIAN/' if part == 'ctrl' else ''}{member.name.removeprefix('./')}"
                body = archive.extractfile(member) if member.isreg() else None
                data = body.read() if body else b""
                if name in extract:
                    extract[name].write_bytes(data)
                found[name] = (
                    f"mode {member.mode:o}",
                    f"owner {member.uid}:{member.gid}",
                    f"mtime {member.mtime}",
                    f"link to {member.linkname}",
                    f"size {member.size}",
                    hashlib.sha256(data).hexdigest(),
                )
    return found


def _facts(first: Sequence[str], second: Sequence[str]) -> str:
    changed = [f"{one} / {other}" for one, other in zip(first[:-1], second[:-1], strict=True) if one != other]
    return ", ".join([*changed, *(["other content"] if first[-1] != second[-1] else [])])


def _elf(tools: root.Toolroot, first: Path, second: Path) -> str:
    one, other = sections(tools, first), sections(tools, second)
    differ = sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
    return f" in sections {', '.join(differ)}" if differ else ""


def _packages(tools: root.Toolroot, first: Path, second: Path) -> Iterator[str]:
    one, other = _members(tools, first, {}), _members(tools, second, {})
    if list(one) != list(other) and one.keys() == other.keys():
        yield "its members stand in another order"
    for name in sorted(one.keys() ^ other.keys()):
        yield f"{name}: only in the {'first' if name in one else 'second'}"
    with TemporaryDirectory(prefix="klab-compare-") as scratch:
        for name in sorted(name for name in one.keys() & other.keys() if one[name] != other[name]):
            a, b = Path(scratch) / "first", Path(scratch) / "second"
            _members(tools, first, {name: a})
            _members(tools, second, {name: b})
            yield f"{name}: {_facts(one[name], other[name])}{_elf(tools, a, b)}"


def _place(first: Path, second: Path) -> str:
    """The offset of the first byte that differs."""
    at = 0
    with first.open("rb") as one, second.open("rb") as other:
        while (a := one.read(digests.BLOCK)) == (b := other.read(digests.BLOCK)) and a:
            at += len(a)
    at += next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    return f"sizes {first.stat().st_size} / {second.stat().st_size}, from byte {at} on"


def differences(
    tools: root.Toolroot, first: Path, second: Path, names: Sequence[str]
) -> dict[str, list[str]]:
    """The files of two folders that differ, each with where; at most SHOWN lines."""
    found = {}
    for name in names:
        a, b = first / name, second / name
        if not (a.is_file() and b.is_file()):
            found[name] = [f"only in the {'first' if a.is_file() else 'second'}"]
        elif digests.of_file(a) != digests.of_file(b):
            inside = list(_packages(tools, a, b)) if name.endswith(".deb") else []
            lines = inside or [_place(a, b) + _elf(tools, a, b)]
            left = [f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
            found[name] = lines[:SHOWN] + left
    return found
