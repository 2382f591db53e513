# SPDX-License-Identifier: GPL-3.0-or-later
"""`klab class status`, `grade`, `verify`, `say`, `collect` and `archive`: a class at work."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from klab.classroom import (
    archive,
    away,
    definition,
    grade,
    gradebook,
    message,
    parallel,
    reach,
    signed,
    status,
)
from klab.classroom.model import Seat
from klab.classroom.plan import table
from klab.cli.class_options import chosen, class_option, each, failed, labs_of, seat_options, told
from klab.cli.verb import Outcome, verb
from klab.errors import KlabError
from klab.paths import tilde

group = click.Group()
words_argument = click.argument("words", nargs=-1)
jobs_option = click.option(
    "--jobs", type=click.IntRange(0), default=0, help="Graders at once; 0: one for each processor."
)
CLEAR = "\x1b[H\x1b[2J"  # to the terminal's corner, and nothing on it


def _aloud(text: str) -> None:
    print(text, file=sys.stderr)


@verb(group, "status")
@words_argument
@seat_options
@click.option("--watch", is_flag=True, help="Again and again, until Ctrl-C.")
@click.option("--every", type=click.IntRange(1), default=10, show_default=True, help="Seconds between two.")
@click.option("--html", "page", type=click.Path(dir_okay=False, path_type=Path), help="A page to be written.")
@click.option(
    "--deadline", type=float, default=status.DEADLINE_S, show_default=True, help="Seconds per seat."
)
def status_(
    *,
    words: tuple[str, ...],
    where: str,
    names: tuple[str, ...],
    groups: tuple[str, ...],
    watch: bool,
    every: int,
    page: Path | None,
    deadline: float,
) -> Outcome:
    """Show all seats: labs, last activity, and how each machine is. Ends with 1 when one is silent.

    WORDS choose labs, else all of the class. A lab in brackets is closed.

    Example: klab class status --watch --html ~/public/class.html
    """
    while True:
        class_ = definition.load(where)
        found = status.ask(class_, chosen(class_, names, groups), labs_of(class_, words), deadline_s=deadline)
        if page:
            reach.replace(page, status.html(found, every), 0o644)
        silent = any(row.silent for row in found.rows)
        if not watch:
            return Outcome(False, status.text(found), found.as_dict(), 1 if silent else 0)
        print(f"{CLEAR if sys.stdout.isatty() else ''}{status.text(found)}", flush=True)
        time.sleep(every)


@verb(group, "grade")
@words_argument
@seat_options
@jobs_option
@click.option("--fresh", is_flag=True, help="Also what was graded before and has not changed.")
@click.option("--to", type=click.Path(file_okay=False, path_type=Path), help="Else the class's state folder.")
def grade_(
    *,
    words: tuple[str, ...],
    where: str,
    names: tuple[str, ...],
    groups: tuple[str, ...],
    jobs: int,
    fresh: bool,
    to: Path | None,
) -> Outcome:
    """Grade all seats at once, each student by a seed of their own; write the gradebook of all.

    Ends with 1 when a seat could not be graded. WORDS choose labs, else all of the class.
    `klab check LAB --machine SEAT --seed SEED` shows again what a grading saw.

    Example: klab class grade lkm-lifecycle --to results/local/grades
    """
    class_ = definition.load(where)
    seats, labs = chosen(class_, names, groups), labs_of(class_, words)
    done = grade.run(class_, seats, labs, jobs=jobs, fresh=fresh, tell=_aloud)
    book = gradebook.body(class_, gradebook.labs(class_, labs), done.failed)
    forms = gradebook.write(class_, book, to or class_.state / "gradebook")
    rows = [
        (seat, lab, found.word, str(found.seed), how)
        for how, part in (("graded now", done.fresh), ("as before", done.kept))
        for (seat, lab), found in part.items()
    ]
    data = {
        "fresh": len(done.fresh),
        "kept": len(done.kept),
        "missing": len(done.missing),
        "errors": {name: error.as_dict() for name, error in done.failed.items()},
        "gradebook": [str(path) for path in forms],
    }
    counted = f"{len(done.fresh)} graded, {len(done.kept)} as before, {len(done.missing)} not started"
    shown = table([("seat", "lab", "word", "seed", ""), *sorted(rows)])
    text = f"{shown}\n{counted}: {tilde(forms[-1])}"
    return Outcome(bool(done.fresh), text + told(done.failed), data, 1 if done.failed else 0)


@verb(group, "verify")
@click.argument("file", type=click.Path(exists=True, path_type=Path))
@class_option
@click.option(
    "--signer",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Public key; else the class's.",
)
def verify(file: Path, where: str, signer: Path | None) -> Outcome:
    """Tell whether a gradebook's file, a folder of them, or an archive is as klab wrote it.

    Example: klab class verify results/local/grades
    """
    public = signer or signed.signer(definition.load(where)).with_suffix(".pub")
    if file.name.endswith(".tar.gz"):
        return Outcome(False, f"{file.name} is whole: {archive.read_back(file, public)} files")
    files = sorted(file.glob(f"{gradebook.NAME}.[cjh]*[nvl]")) if file.is_dir() else [file]
    if not files:
        raise KlabError(f"there is no gradebook in {file}", step=gradebook.STEP, mend="klab class grade")
    wrong = [found for path in files if (found := gradebook.verify(path, public))]
    good = f"{', '.join(path.name for path in files)}: as the class's key signed"
    return Outcome(False, "\n".join(wrong) or good, {"wrong": wrong}, 1 if wrong else 0)


@verb(group, "say")
@click.argument("text", required=False, default="")
@seat_options
@click.option("--clear", is_flag=True, help="Take the last message back.")
def say(text: str, where: str, names: tuple[str, ...], groups: tuple[str, ...], clear: bool) -> Outcome:
    """Show TEXT on the students' terminals now, and at each login until it is taken back.

    Example: klab class say "Ten minutes left."
    """
    if not (text or clear):
        raise KlabError("there is nothing to say", step="class: say", mend="give a text, or --clear")
    class_ = definition.load(where)

    def one(seat: Seat) -> None:
        reached = reach.of(class_, seat)
        message.clear(reached) if clear else message.show(reached, text)

    found = parallel.over(chosen(class_, names, groups), one)
    errors = failed(found)
    did = "took the message back from" if clear else "told"
    return each(f"{did} {len(found) - len(errors)} of {len(found)} seats", bool(found), errors)


@verb(group, "collect")
@words_argument
@seat_options
@click.option("--to", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder.")
def collect(
    words: tuple[str, ...], where: str, names: tuple[str, ...], groups: tuple[str, ...], to: Path
) -> Outcome:
    """Fetch a copy of the students' files from all seats; an earlier copy is kept beside it.

    WORDS choose labs, else all of the class.

    Example: klab class collect --to results/local/work
    """
    class_ = definition.load(where)
    labs = labs_of(class_, words)
    found = parallel.over(chosen(class_, names, groups), lambda seat: grade.collect(class_, seat, labs, to))
    count = sum(len(value) for value in found.values() if not isinstance(value, KlabError))
    folders = {name: value for name, value in found.items() if not isinstance(value, KlabError)}
    return each(f"{count} labs of {len(folders)} seats: {tilde(to)}", False, failed(found), folders=folders)


@verb(group, "archive")
@class_option
@jobs_option
@click.option("--to", type=click.Path(file_okay=False, path_type=Path), help="Else the class's state folder.")
@click.option("--partial", is_flag=True, help="End with 0 although a seat did not give its work.")
def archive_(where: str, jobs: int, to: Path | None, partial: bool) -> Outcome:
    """Grade and fetch all, write one archive of it, and read that back.

    Ends with 1 when a seat did not answer; the archive then holds what was fetched from it before. Seats that
    were never made hold nothing.

    Example: klab class archive --to /srv/archives
    """
    class_ = definition.load(where)
    labs = labs_of(class_, ["all"])
    seats = archive.holding(class_, class_.seats)
    done = grade.run(class_, seats, labs, jobs=jobs, tell=_aloud)
    done.failed |= archive.fetch_left(class_, labs) | away.fetch(class_, seats)
    made = archive.make(class_, gradebook.body(class_, gradebook.labs(class_), done.failed), to)
    data = {
        "archive": str(made.path),
        "sha256": made.sha256,
        "bytes": made.size,
        "files": made.files,
        "complete": not done.failed,
        "errors": {name: error.as_dict() for name, error in done.failed.items()},
    }
    text = f"{tilde(made.path)}: {made.files} files, read back; sha256 {made.sha256}{told(done.failed)}"
    return Outcome(True, text, data, 1 if done.failed and not partial else 0)
