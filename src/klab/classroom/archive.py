# SPDX-License-Identifier: GPL-3.0-or-later
"""All that a class leaves: work, grades and records in one file, which is read back before it counts.

    <class>-<time>/SHA256SUMS      of every other file
    <class>-<time>/SHA256SUMS.sig  by the class's key
    …/gradebook.{json,csv,html}, grades/, work/, records/, closed/, roster

The class's secrets stay out of it: the gradebook names each seed.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from klab import digest as digests
from klab.catalogue import Lab
from klab.classroom import away, grade, gradebook, reach, signed
from klab.classroom.model import Class, Seat, Student
from klab.desk import record
from klab.errors import KlabError

STEP = "class: archive"
SUMS = "SHA256SUMS"
HALF = (".new", ".old")  # of a copy that was cut off
RECORDS = (record.RECORD, away.FILE, record.CLOSED)  # what a seat's folder holds of the labs


@dataclass(frozen=True)
class Archive:
    """An archive that was read back. size: bytes; files: how many."""

    path: Path
    sha256: str
    size: int
    files: int


def holding(class_: Class, seats: Iterable[Seat]) -> list[Seat]:
    """Those that can hold work: klab notes how it reaches a seat before it gives the seat its labs."""
    return [seat for seat in seats if reach.of(class_, seat).ssh_config.exists()]


def fetch_left(class_: Class, labs: Sequence[Lab]) -> dict[str, KlabError]:
    """Fetch what seats hold that the roster no longer has; the errors by seat, or by seat and lab."""
    seats = holding(class_, [Seat(name, Student("", "", (), name), "", by) for name, by in class_.left])
    failed: dict[str, KlabError] = {}
    for name, found in grade.fetch(class_, seats, labs).items():
        if isinstance(found, KlabError):
            failed[name] = found
        else:
            failed |= {f"{name} {lab}": error for lab, error in found.items() if error}
    return failed


def make(class_: Class, book: Mapping[str, Any], folder: Path | None = None) -> Archive:
    """Write everything that is kept of the class into one file, and read it back.

    folder: else `archives` in the class's state. Raises KlabError when what is read back is not
    what was written; nothing may be removed then.
    """
    name = f"{class_.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    target = (folder or reach.private(class_.state) / "archives") / f"{name}.tar.gz"
    reach.private(target.parent)
    draft = target.with_name(f".{target.name}.new")
    with tempfile.TemporaryDirectory(prefix="klab-archive-") as temporary:
        gradebook.write(class_, book, Path(temporary))
        inside = dict(_inside(class_, Path(temporary)))
        sums = "".join(f"{digests.of_file(path)}  {at}\n" for at, path in sorted(inside.items())).encode()
        draft.touch(mode=0o600)
        with draft.open("wb") as raw:
            # No time of its own in the head: the same content is the same file.
            with (
                gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed,
                tarfile.open(fileobj=packed, mode="w") as tar,
            ):
                _add(tar, f"{name}/{SUMS}", sums)
                _add(tar, f"{name}/{SUMS}.sig", signed.sign(class_, sums))
                for at, path in sorted(inside.items()):
                    tar.add(path, f"{name}/{at}", recursive=False, filter=_plain)
            raw.flush()
    public = signed.signer(class_).with_suffix(".pub")
    count = read_back(draft, public)
    if count != len(inside):
        raise KlabError(f"{draft} holds {count} files of {len(inside)}", step=STEP, log=draft, mend="again")
    draft.replace(target)
    return Archive(target, digests.of_file(target), target.stat().st_size, count)


def _inside(class_: Class, book: Path) -> Iterator[tuple[str, Path]]:
    """What goes in, by its name there."""
    for path in sorted(book.iterdir()):
        yield path.name, path
    for part in ("work", "grades"):
        for path in sorted((class_.state / part).rglob("*")):
            copies = path.relative_to(class_.state / part).parts[:3]
            if path.is_file() and not any(name.endswith(HALF) for name in copies):
                yield str(path.relative_to(class_.state)), path
    for seat in [*(seat.name for seat in class_.seats), *dict(class_.left)]:
        for name in RECORDS:
            if (path := reach.at(class_, seat).file(name)).is_file():
                yield f"records/{seat}/{name}", path


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = len(data), int(time.time()), 0o644
    tar.addfile(member, io.BytesIO(data))


def read_back(path: Path, public: Path) -> int:
    """Read an archive to its end; how many files it holds beside its sums.

    public: the signer's .pub. Raises KlabError for a file that is missing, too many or changed, and
    for sums that the class's key did not sign.
    """
    found: dict[str, str] = {}
    heads: dict[str, bytes] = {}
    try:
        with tarfile.open(path, "r:gz") as tar:
            for member in tar:
                at = member.name.partition("/")[2]
                stream = tar.extractfile(member)
                if stream is None or at in found:
                    raise _wrong(path, f"{member.name} is no file, or is there twice")
                if at in {SUMS, f"{SUMS}.sig"}:
                    heads[at] = stream.read()
                else:
                    found[at] = hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type] # as tarfile's reader has what it asks for
    except (OSError, EOFError, tarfile.TarError) as error:
        raise _wrong(path, f"it cannot be read to its end: {error}") from None
    sums = heads.get(SUMS, b"")
    if not signed.good(sums, heads.get(f"{SUMS}.sig", b""), public):
        raise _wrong(path, f"its {SUMS} is not what the class's key signed")
    told = {line[66:]: line[:64] for line in sums.decode().splitlines()}
    for name in sorted(told.keys() | found.keys()):
        if told.get(name) != found.get(name):
            how = "changed" if name in told and name in found else "too many" if name in found else "missing"
            raise _wrong(path, f"{name} is {how}")
    return len(found)


def _wrong(path: Path, what: str) -> KlabError:
    return KlabError(
        f"the archive {path.name} is not whole: {what}",
        step=STEP,
        log=path,
        mend="remove nothing; make it anew: klab class archive",
    )
