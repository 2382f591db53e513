# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab's folder on a machine: put there, put back, and fetched, in one round trip each."""

from __future__ import annotations

import io
import shlex
import subprocess
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from klab.desk import bounded
from klab.errors import KlabError
from klab.machine import ssh
from klab.machine.model import Machine, Reachable


@dataclass(frozen=True)
class Here:
    """The very machine that this klab was laid on, with the student who calls it."""

    name: str = "inside"


Whose = Reachable | Here
CALLED_IN = "klab.place"  # of a call: the folder in which it was typed, as seen from ~/labs
DEADLINE_S = 60.0
SEND_S = 600.0
LIMIT = 64 << 20  # bytes of a folder that is fetched
MISSING = 44  # exit status of our scripts when the folder is not there

# $1: the lab's id. All of it appears at once or not at all.
PUT = """set -e; d=$HOME/labs/$1; [ ! -e "$d" ] || { cat >/dev/null; echo there; exit 0; }
mkdir -p "${d%/*}"; t=$(mktemp -d "$HOME/labs/.klab-XXXXXX"); tar -xf - -C "$t"; chmod 755 "$t"
mv -T "$t" "$d"; echo made"""
# $2: where the old folder goes: nothing that a student wrote is lost.
ASIDE = """set -e; d=$HOME/labs/$1; o=$HOME/labs/.before-reset/$2; [ ! -e "$d" ] || {
mkdir -p "${o%/*}"; mv -T "$d" "$o"; }"""
# $2: where what is replaced goes; $3…: the files.
RENEW = """set -e; d=$HOME/labs/$1; o=$HOME/labs/.before-reset/$2; shift 2; cd "$d"
for f; do [ ! -e "$f" ] || { mkdir -p "$o"; cp --parents -pP "$f" "$o"; }; done; tar -xf - """
UPDATE = """tar -xf - -C "$HOME/labs/$1" """
GET = f"""d=$HOME/labs/$1; [ -d "$d" ] || exit {MISSING}; tar -C "$d" -cf - . | head -c {LIMIT + 1}"""


def _there(machine: Whose, words: Sequence[str]) -> list[str]:
    """The command line that runs `words` on the machine."""
    if isinstance(machine, Here):
        return list(words)
    return ["ssh", "-F", str(machine.ssh_config), "-o", "BatchMode=yes", machine.name, shlex.join(words)]


def run(machine: Whose, script: str, *words: str, send: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run a shell script there over the machine's shared connection; its $1… are `words`.

    send: its standard input. Raises KlabError when it fails or takes more than DEADLINE_S seconds.
    """
    argv = _there(machine, ["sh", "-c", script, "klab", *words])
    try:
        done = bounded.run(argv, send=send, limit=2 * LIMIT, deadline_s=DEADLINE_S)
    except subprocess.TimeoutExpired:
        raise _error(machine, f"it did not answer within {DEADLINE_S:g} s") from None
    except bounded.TooMuchError:
        raise _error(machine, "it sends without end") from None
    if done.returncode not in (0, MISSING):
        raise _error(machine, done.stderr.decode(errors="replace").strip() or "no reason given")
    return done


def send(machine: Whose, target: str, source: Path) -> None:
    """Bring a file to a path in the student's home, unless one of its size is there.

    It appears whole or not at all. Raises KlabError when the machine does not answer.
    """
    script = """set -e; [ "$(stat -c %s "$HOME/$1" 2>/dev/null)" != "$2" ] || { echo there; exit 0; }
mkdir -p "$HOME/${1%/*}"; echo wanted"""
    if run(machine, script, target, str(source.stat().st_size)).stdout.strip() == b"there":
        return
    script = 'cat >"$HOME/$1.part"; mv "$HOME/$1.part" "$HOME/$1"'
    argv = _there(machine, ["sh", "-ec", script, "klab", target])
    with source.open("rb") as stream:
        done = subprocess.run(argv, stdin=stream, capture_output=True, check=False, timeout=SEND_S)
    if done.returncode:
        raise _error(machine, done.stderr.decode(errors="replace").strip() or "no reason given")


def _error(machine: Whose, why: str) -> KlabError:
    if isinstance(machine, Here):
        return KlabError(f"~/labs cannot be read: {why}", step="lab: read the folder", mend="ls -l ~/labs")
    again = f"klab vm start --name {machine.name}" if isinstance(machine, Machine) else "klab class status"
    return KlabError(
        f"the labs on {machine.name} cannot be reached: {why}",
        step="lab: reach the machine",
        machine=machine.name,
        log=machine.console,
        mend=f"{ssh.line(machine)}; {again}",
    )


def put(machine: Whose, lab: str, folder: Path) -> bool:
    """Lay a copy of `folder` in ~/labs/<lab> unless something is there; whether it did."""
    return run(machine, PUT, lab, send=pack(folder)).stdout.strip() == b"made"


def put_back(machine: Whose, lab: str, folder: Path, aside: str) -> None:
    """Move what is there to ~/labs/.before-reset/<aside> and lay a copy of `folder`."""
    run(machine, ASIDE, lab, aside)
    put(machine, lab, folder)


def get(machine: Whose, lab: str, folder: Path) -> bool:
    """Copy ~/labs/<lab> into the empty `folder`; False when it is not on the machine.

    Raises KlabError when it is too big or holds what cannot be copied safely.
    """
    done = run(machine, GET, lab)
    if done.returncode == MISSING:
        return False
    if len(done.stdout) > LIMIT:
        raise KlabError(
            f"~/labs/{lab} holds more than {LIMIT >> 20} MiB",
            step="lab: fetch the folder",
            machine=machine.name,
            mend="make clean, and move what does not belong there out of it",
        )
    unpack(done.stdout, folder, f"~/labs/{lab}")
    return True


def update(machine: Whose, lab: str, folder: Path, names: Sequence[str]) -> None:
    """Write those files of `folder` into ~/labs/<lab>, over what is there."""
    if names:
        run(machine, UPDATE, lab, send=pack(folder, names))


def renew(machine: Whose, lab: str, folder: Path, names: Sequence[str], aside: str) -> None:
    """The same, and what was there lies in ~/labs/.before-reset/<aside> afterwards."""
    run(machine, RENEW, lab, aside, *names, send=pack(folder, names))


def pack(folder: Path, names: Sequence[str] = (".",)) -> bytes:
    """A tar archive of a folder's content, or of some of its files, without owners and times."""

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        return member

    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name in names:
            tar.add(folder / name, arcname=name, filter=plain)
    return packed.getvalue()


def unpack(packed: bytes, folder: Path, what: str) -> None:
    """Unpack what came from a machine: plain files and folders below `folder`, nothing else.

    Links, sockets and devices are left out.
    Raises KlabError for names that lead out of it.
    """
    try:
        with tarfile.open(fileobj=io.BytesIO(packed), mode="r:") as tar:
            for member in tar:
                path = PurePosixPath(member.name)
                if path.is_absolute() or ".." in path.parts:
                    raise tarfile.TarError(f"the name {member.name!r} leads out of it")
                place = folder / path
                if member.issparse() or member.size > LIMIT:  # a few bytes that unpack to many
                    raise tarfile.TarError(f"{member.name!r} is too big")
                if member.isdir():
                    place.mkdir(exist_ok=True, parents=True)
                elif member.isfile():
                    place.parent.mkdir(exist_ok=True, parents=True)
                    place.write_bytes((tar.extractfile(member) or io.BytesIO()).read())
                    place.chmod(0o755 if member.mode & 0o100 else 0o644)
    except (tarfile.TarError, OSError) as error:
        raise KlabError(
            f"{what} cannot be copied: {error}",
            step="lab: fetch the folder",
            mend="a lab's folder holds plain files: move anything else out of it",
        ) from None
