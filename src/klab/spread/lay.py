# SPDX-License-Identifier: GPL-3.0-or-later
"""klab's own Python on a hypervisor: looked for, laid there whole, and changed in one moment.

~/.local/share/klab/bin/python    a venv of the computer's own python3, without pip
~/.local/share/klab/current       a link to versions/DIGEST, what spread/pack.py packs
~/.local/share/klab/keys/CLASS    host keys of seats that are to be made
"""

from __future__ import annotations

import io
import json
import shlex
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from klab.paths import data_file
from klab.run import FULL
from klab.spread.pack import CODE, LIBS, Pack
from klab.spread.there import PLACE, PYTHON, TAIL, There

STEP = "hypervisor: lay klab there"

LOOK = f"""echo "python $(python3 -c 'import sys, venv; print(*sys.version_info[:3], sep=".")' 2>/dev/null)"
place=$HOME/{PLACE}
"$HOME/{PYTHON}" -m klab --version >/dev/null 2>&1 && echo "klab $(basename "$(readlink "$place/current")")"
"""
# $1: the digest of what comes in. Programs that run see the old one or the new one, never half of either.
LAY = f"""set -e
place=$HOME/{PLACE}; version=$place/versions/$1; rm -rf "$version.new"; mkdir -p "$version.new"
cat >"$version.new/it"; echo "$1  $version.new/it" | sha256sum --check --status
tar -xzf "$version.new/it" -C "$version.new"; rm "$version.new/it"
rm -rf "$version"; mv "$version.new" "$version"
python3 -m venv --without-pip "$place"
site=$("$HOME/{PYTHON}" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
printf '%s\\n' "$place/current/{CODE}" "$place/current/{LIBS}" >"$site/klab.pth"
ln -sfn "versions/$1" "$place/current.new"; mv -T "$place/current.new" "$place/current"
"$HOME/{PYTHON}" -m klab --version
for old in "$place"/versions/*; do [ "$old" = "$version" ] || rm -rf "$old"; done
"""
# $1: the class.
KEYS = f"""set -e; umask 077; mkdir -p "$HOME/{PLACE}/keys/$1"; cd "$HOME/{PLACE}/keys/$1"; tar -xf -; pwd"""


@dataclass(frozen=True)
class Seen:
    """What stands there. klab: the digest of the one that is laid and works, or ""."""

    klab: str


def _host() -> dict[str, Any]:
    return dict(json.loads(data_file("host.json").read_text()))


def _tools(host: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    known = {tool["package"]: tool for tool in [*host["tools"], *host["more"]]}
    return {package: known[package] for package in host["hypervisor"]}


def look(there: There) -> Seen:
    """See what the computer has, in one round trip.

    Raises KlabError when it cannot be reached, and with all that it lacks.
    """
    host = _host()
    tools = _tools(host)
    script = LOOK + "\n".join(
        f"({shlex.join(tool['prove'])}) >/dev/null 2>&1 </dev/null || echo lacks {package}"
        for package, tool in tools.items()
    )
    lines = [line.partition(" ") for line in there.run(f"{script}\ntrue").stdout.splitlines()]
    said = {word: value for word, _, value in lines if word != "lacks"}
    lacks = [value for word, _, value in lines if word == "lacks" and value in tools]
    version = said.get("python", "")
    if not version:
        lacks.insert(0, "python3")
    elif tuple(map(int, version.split("."))) < tuple(host["python"]):
        need = ".".join(map(str, host["python"]))
        raise there.error(
            f"its python3 is {version}, and klab needs {need}", "install a newer one there", STEP
        )
    if lacks:
        why = {"python3": "runs klab"} | {package: tool["why"] for package, tool in tools.items()}
        named = "; ".join(f"{package} ({why[package]})" for package in lacks)
        line = f"apt-get install --no-install-recommends -y {' '.join(lacks)}"
        raise there.error(f"it lacks {named}", f"there, as root: {line}", STEP)
    return Seen(said.get("klab", ""))


def lay(there: There, pack: Pack) -> None:
    """Bring klab there; the older one is removed. Raises KlabError."""
    done = there.run(LAY, pack.digest, send=pack.data)
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-TAIL:]
        mend = f"free some space there: {there.login} df -h" if FULL.search(said) else "then the same again"
        raise there.error(
            f"klab cannot be laid there: {said or 'what came is not what was sent'}", mend, STEP
        )


def keys(there: There, class_name: str, files: Mapping[str, Path]) -> dict[str, str]:
    """Bring private host keys, and the .pub beside each; where each lies there. files: by the seat's name.

    Raises KlabError.
    """
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, path in files.items():
            for suffix in ("", ".pub"):
                content = Path(f"{path}{suffix}").read_bytes()
                member = tarfile.TarInfo(f"{name}{suffix}")
                member.size, member.mode = len(content), 0o600
                tar.addfile(member, io.BytesIO(content))
    done = there.run(KEYS, class_name, send=packed.getvalue())
    if done.returncode:
        raise there.error(
            f"host keys cannot be laid there: {done.stderr.strip()[-TAIL:]}", "then again", STEP
        )
    folder = done.stdout.strip()
    return {name: f"{folder}/{name}" for name in files}
