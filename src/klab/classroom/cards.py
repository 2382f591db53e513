# SPDX-License-Identifier: GPL-3.0-or-later
"""A card for each student, to print and to cut out, and a page of the whole class."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
import segno
from markupsafe import Markup

from klab import catalogue
from klab.classroom import pubkey
from klab.classroom.model import EXISTING, LOOPBACK, Class, Seat
from klab.errors import KlabError
from klab.paths import data_file

STEP = "class: cards"
COLUMNS = 2
PDF_S = 120.0
# Programs that make a PDF of a page, the better first; {page} and {pdf} are files.
PRINTERS = (
    ("weasyprint", "{page}", "{pdf}"),
    ("chromium", "--headless", "--disable-gpu", "--no-pdf-header-footer", "--print-to-pdf={pdf}", "{page}"),
)


@dataclass(frozen=True)
class Card:
    """What a student needs to know. only: from where alone the seat can be reached, "" from anywhere."""

    name: str
    login: str
    seat: str
    group: str
    path: str
    address: str
    port: int
    only: str = ""
    fingerprint: str = ""

    @property
    def line(self) -> str:
        """The command that logs in."""
        port = f"-p {self.port} " if self.port != 22 else ""
        return f"ssh {port}{self.login}@{self.address}"

    @property
    def qr(self) -> Markup:
        """The command as a QR code, in SVG."""
        # segno's own markup holds dark and light squares, nothing of what they mean.
        return Markup(segno.make(self.line, micro=False).svg_inline(border=2, omitsize=True))  # noqa: S704 - see above


def _fingerprint(folder: Path) -> str:
    """The seat's host key as ssh shows it, or "" before it is known."""
    try:
        kind, key = (folder / "known_hosts").read_text().splitlines()[0].split()[1:3]
        blob = pubkey.parse(f"{kind} {key}").blob
    except (OSError, IndexError, ValueError):
        return ""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def _port(folder: Path) -> int:
    """The port in the ssh_config that was made with a seat; 0 before."""
    try:
        lines = [line.split() for line in (folder / "ssh_config").read_text().splitlines()]
    except FileNotFoundError:
        return 0
    return next((int(words[1]) for words in lines if len(words) == 2 and words[0] == "Port"), 0)


def card(class_: Class, seat: Seat) -> Card | None:
    """A seat's card; None when the seat was not made yet."""
    folder = class_.seat_dir(seat.name)
    address, only = seat.address, ""
    if seat.provider == EXISTING:
        port = seat.port
    else:
        by = class_.hypervisor(seat.hypervisor)
        address, port = by.listen, _port(folder)
        if by.listen == LOOPBACK:
            only = f"from {by.address or 'the computer that holds the class'} only"
    if not port:
        return None
    who = seat.student
    return Card(
        name=who.name,
        login=who.login,
        seat=seat.name,
        group=who.group,
        path=who.path,
        address=address,
        port=port,
        only=only,
        fingerprint=_fingerprint(folder),
    )


def _rendered(template: str, **facts: object) -> str:
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    return environment.from_string(data_file(f"classroom/{template}").read_text()).render(facts)


def cards_page(class_: Class, cards: Sequence[Card], per_page: int) -> str:
    """The cards as HTML to print on A4."""
    pages = [cards[i : i + per_page] for i in range(0, len(cards), per_page)]
    rows = -(-per_page // COLUMNS)
    return _rendered("cards.html.j2", **{"class": class_, "pages": pages, "rows": rows})


def class_page(class_: Class, cards: Sequence[Card]) -> str:
    """The class as one page: who sits where, and the labs."""
    labs = catalogue.select(catalogue.load(), class_.labs)
    return _rendered("class.html.j2", **{"class": class_, "cards": cards, "labs": labs})


def _pdf(page: Path) -> tuple[Path | None, str]:
    """The page as PDF beside it, or None and why there is none."""
    pdf = page.with_suffix(".pdf")
    pdf.unlink(missing_ok=True)  # an older one would tell of another class
    said = "install weasyprint or chromium for a PDF, or print it from a browser"
    for words in PRINTERS:
        if not shutil.which(words[0]):
            continue
        argv = [word.format(page=page, pdf=pdf) for word in words]
        try:
            done = subprocess.run(
                argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PDF_S, check=False
            )
        except subprocess.TimeoutExpired:
            said = f"{words[0]} did not end within {PDF_S:g} s"
            continue
        if done.returncode == 0 and pdf.exists():
            return pdf, ""
        said = f"{words[0]} made no PDF: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}"
    return None, said


def write(class_: Class, folder: Path, per_page: int) -> tuple[list[Path], list[str]]:
    """Write cards and class page; the files, and what else there is to tell.

    Raises KlabError when no seat is made yet.
    """
    found = {seat.name: card(class_, seat) for seat in class_.seats}
    cards = [one for one in found.values() if one]
    if not cards:
        raise KlabError(
            f"no seat of class {class_.name} is made yet, so none has an address",
            step=STEP,
            mend=f"ansible-playbook playbooks/classroom_open.yml -i {class_.folder}",
        )
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / "cards.html", folder / "class.html"]
    for path, text in zip(
        files, (cards_page(class_, cards, per_page), class_page(class_, cards)), strict=True
    ):
        draft = path.with_name(f".{path.name}.new")
        draft.write_text(text)
        draft.replace(path)
    notes = [f"not made yet, and without a card: {name}" for name, one in found.items() if one is None]
    pdf, why = _pdf(files[0])
    return [*files, *([pdf] if pdf else [])], [*notes, *([f"no PDF: {why}"] if why else [])]
