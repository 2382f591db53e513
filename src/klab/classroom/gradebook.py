# SPDX-License-Identifier: GPL-3.0-or-later
"""The gradebook of a class: JSON with all evidence, CSV for a spreadsheet, HTML to read; all signed.

CSV and HTML carry the digest of the JSON that they were made from.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jinja2

from klab import __version__, catalogue
from klab import digest as digests
from klab.catalogue import Lab
from klab.classroom import reach, results, signed
from klab.classroom.model import Class, Seat
from klab.errors import KlabError
from klab.paths import data_file
from klab.testing.observe import PASS

STEP = "class: gradebook"
NAME = "gradebook"
NOT_STARTED = "not started"
COLUMNS = (
    *("seat", "login", "name", "group", "lab", "word", "seed", "graded", "seconds"),
    *("work", "lab digest", "kernels", "gradebook"),
)
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would work out instead of show


def labs(class_: Class, also: Iterable[Lab] = ()) -> list[Lab]:
    """The labs of which a gradebook tells: those that somebody's work was graded in, and these."""
    names = {lab for graded in results.all_of(class_).values() for lab in graded}
    names |= {lab.id for lab in also}
    return [lab for name, lab in catalogue.load().labs.items() if name in names]


def body(class_: Class, labs: Sequence[Lab], failed: Mapping[str, KlabError] | None = None) -> dict[str, Any]:
    """The gradebook of all seats as data. failed: errors of this run, by seat, or by seat and lab."""
    graded = results.all_of(class_)
    told = {name: error.as_dict() for name, error in sorted((failed or {}).items())}
    return {
        "class": class_.name,
        "made": int(time.time()),
        "klab": __version__,
        "labs": [lab.id for lab in labs],
        "failed": told,
        "seats": [
            {
                "seat": seat.name,
                "login": seat.student.login,
                "name": seat.student.name,
                "group": seat.student.group,
                "labs": {
                    lab.id: _entry(class_, seat, lab, graded.get(seat.name, {}).get(lab.id)) for lab in labs
                },
            }
            for seat in class_.seats
        ],
    }


def _entry(class_: Class, seat: Seat, lab: Lab, result: results.Result | None) -> dict[str, Any]:
    """A grade; `outdated` when the student's files that were fetched last are not those that it is of."""
    work = results.work_dir(class_, seat.name, lab.id)
    now = digests.of_tree(work) if work.is_dir() else ""
    if result is None:
        return {"word": "not graded" if now else NOT_STARTED, "outdated": False}
    return {**asdict(result), "outdated": now != result.work}


def write(class_: Class, book: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write the gradebook in its three forms, each with its signature; returns the forms."""
    reach.private(folder)
    whole = json.dumps(book, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"
    digest = hashlib.sha256(whole).hexdigest()
    forms = {
        "json": whole,
        "csv": as_csv(book, digest).encode(),
        "html": as_html(book, digest).encode(),
    }
    for kind, data in forms.items():
        path = folder / f"{NAME}.{kind}"
        reach.replace(path, data)
        reach.replace(signed.beside(path), signed.sign(class_, data))
    reach.replace(folder / "signer.pub", signed.signer(class_).with_suffix(".pub").read_bytes(), 0o644)
    return [folder / f"{NAME}.{kind}" for kind in forms]


def harmless(cell: object) -> str:
    """A cell that a spreadsheet shows as it is, whatever a roster had in it."""
    text = str(cell)
    return f"'{text}" if text.startswith(FORMULA) else text


def as_csv(book: Mapping[str, Any], digest: str) -> str:
    """One line for each seat and lab. digest: of the JSON."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for seat in book["seats"]:
        for lab, entry in seat["labs"].items():
            row = [seat["seat"], seat["login"], seat["name"], seat["group"], lab, _word(entry)]
            row += [entry.get("seed", ""), when(entry), entry.get("wall_s", "")]
            kernels = " ".join(f"{name}:{kernel[:12]}" for name, kernel in entry.get("kernels", {}).items())
            row += [entry.get("work", ""), entry.get("lab", ""), kernels, digest]
            writer.writerow([harmless(cell) for cell in row])
    return out.getvalue()


def _word(entry: Mapping[str, Any]) -> str:
    return f"{entry['word']} (outdated)" if entry["outdated"] else str(entry["word"])


def when(entry: Mapping[str, Any]) -> str:
    """When it was graded, in this computer's time; empty when it was not."""
    return time.strftime("%F %T", time.localtime(entry["at"])) if "at" in entry else ""


def as_html(book: Mapping[str, Any], digest: str) -> str:
    """The page. digest: of the JSON."""
    reasons = [
        {"seat": seat["seat"], "name": seat["name"] or seat["login"], "lab": lab, "seen": seen}
        for seat in book["seats"]
        for lab, entry in seat["labs"].items()
        for seen in entry.get("observations", ())
        if seen["word"] != PASS
    ]
    return page("gradebook.html.j2").render(book=book, digest=digest, word=_word, when=when, reasons=reasons)


def page(name: str) -> jinja2.Template:
    """A template of data/classroom; whatever it is given is shown as text."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(data_file("classroom")),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(name)


def verify(path: Path, public: Path) -> str:
    """What is wrong with one of a gradebook's files, empty when nothing is. public: the signer's .pub.

    Raises KlabError when there is nothing to compare with.
    """
    try:
        data, signature = path.read_bytes(), signed.beside(path).read_bytes()
        if not signed.good(data, signature, public):
            return f"{path.name} is not what the class's key signed: it was changed, or signed by another key"
        whole = path.with_suffix(".json")
        if path.suffix in {".csv", ".html"}:
            digest = hashlib.sha256(whole.read_bytes()).hexdigest()
            if digest.encode() not in data:
                return f"{path.name} and {whole.name} do not belong together: one of them was replaced"
    except FileNotFoundError as error:
        raise KlabError(
            f"{error.filename} is not there",
            step=STEP,
            log=path,
            mend="keep a gradebook's files together: .json, .csv, .html and their .sig",
        ) from None
    return ""
