# SPDX-License-Identifier: GPL-3.0-or-later
"""A roster's file as rows of text, each with its line: CSV as office programs write it, or YAML.

What is wrong with a file is gathered, so that it is told all at once.
"""

from __future__ import annotations

import codecs
import csv
import io
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

import yaml

from klab.errors import KlabError

LIMIT = 1 << 20  # bytes of a roster: a class of thousands, with a key each
SHOWN = 40  # mistakes; more of them have one reason, and nobody reads them
UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
SEPARATORS = ",;\t"


@dataclass
class Mistakes:
    """What is wrong with a file, line by line. step: for the error."""

    path: Path
    step: str
    found: list[tuple[int, str]] = field(default_factory=list)

    def add(self, line: int, what: str) -> None:
        """Note a mistake on a line, counted from 1."""
        self.found.append((line, what))

    def raise_any(self) -> None:
        """Raise KlabError with all of them, if there is one."""
        if not self.found:
            return
        self.found.sort(key=lambda one: one[0])
        lines = [f"{self.path.name}:{line}: {what}" for line, what in self.found[:SHOWN]]
        if more := len(self.found) - SHOWN:
            lines += [f"and {more} more"] if more > 0 else []
        count = "one mistake" if len(self.found) == 1 else f"{len(self.found)} mistakes"
        raise KlabError(
            "\n".join([f"{self.path}: {count}", *lines]),
            step=self.step,
            mend="mend the lines and try again; nothing was touched",
        )

    def stop(self, line: int, what: str, mend: str) -> KlabError:
        """An error after which the rest of the file cannot be judged."""
        return KlabError(f"{self.path}:{line}: {what}", step=self.step, mend=mend)


@dataclass(frozen=True)
class Row:
    """A line of the roster: its number, and its cells by column; a list where YAML has one."""

    line: int
    cells: dict[str, tuple[str, ...]]


def tidy(text: str) -> str:
    """A cell without the white space around it, its letters composed (NFC), one space between words."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def decode(path: Path, mistakes: Mistakes) -> str:
    """The file's text. Raises KlabError when it is missing, too long, or not UTF-8."""
    try:
        with path.open("rb") as stream:
            raw = stream.read(LIMIT + 1)
    except OSError as error:
        raise KlabError(
            f"{path} cannot be read: {error.strerror}", step=mistakes.step, mend=f"ls -l {path}"
        ) from None
    if len(raw) > LIMIT:
        raise mistakes.stop(1, f"it has more than {LIMIT >> 20} MiB", "is this the roster?")
    if raw.startswith(UTF16) or b"\0" in raw:
        line = 1 if raw.startswith(UTF16) else raw[: raw.index(b"\0")].count(b"\n") + 1
        mend = f"save it as “CSV UTF-8”, or: iconv -f UTF-16 -t UTF-8 {path.name} -o NEW.csv"
        raise mistakes.stop(line, "it is written in UTF-16, or no text at all", mend)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        mend = f"save it as “CSV UTF-8”, or: iconv -f WINDOWS-1252 -t UTF-8 {path.name} -o NEW.csv"
        raise mistakes.stop(line, "it is not written in UTF-8", mend) from None


def from_csv(text: str, mistakes: Mistakes) -> tuple[list[str], list[Row]]:
    """The columns and rows of a CSV text; comma, semicolon or tab part its cells."""
    head = text.lstrip("\r\n").partition("\n")[0]
    separator = max(SEPARATORS, key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    columns: list[str] = []
    rows: list[Row] = []
    line = 1
    try:
        for cells in reader:
            begun, line = line, reader.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            if not columns:
                columns = [tidy(cell).lower() for cell in cells]
                continue
            while len(cells) > len(columns) and not cells[-1].strip():
                cells.pop()
            if len(cells) > len(columns):
                mistakes.add(
                    begun, f"{len(cells)} cells for {len(columns)} columns: quote what holds a comma"
                )
                continue
            filled = zip_longest(columns, cells, fillvalue="")
            rows.append(Row(begun, {name: (cell,) for name, cell in filled}))
    except csv.Error as error:
        raise mistakes.stop(line, f"this is no CSV: {error}", "look for a quote without its fellow") from None
    return columns, rows


def from_yaml(text: str, mistakes: Mistakes) -> list[Row]:
    """The rows of a YAML text: a list of mappings. Values stay as written: `007` and `no` are text."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        said = getattr(error, "problem", None) or "a character that YAML does not allow"
        raise mistakes.stop(mark.line + 1 if mark else 1, said, "mend the YAML") from None
    except RecursionError:
        raise mistakes.stop(
            1, "it is nested too deeply", "write a list of students, with plain values"
        ) from None
    if not isinstance(node, yaml.SequenceNode):
        raise mistakes.stop(1, "it is no list", "begin each student's lines with “- login: …”")
    rows = []
    for item in node.value:
        line = item.start_mark.line + 1
        if not isinstance(item, yaml.MappingNode):
            mistakes.add(line, "it is no mapping: write login: … and so on")
            continue
        cells: dict[str, tuple[str, ...]] = {}
        for key, value in item.value:
            name, at = str(key.value), key.start_mark.line + 1
            if name in cells:
                mistakes.add(at, f"{name} stands there twice")
            values = value.value if isinstance(value, yaml.SequenceNode) else [value]
            cells[name] = _scalars(values, at, mistakes)
        rows.append(Row(line, cells))
    return rows


def _scalars(nodes: Sequence[yaml.Node], line: int, mistakes: Mistakes) -> tuple[str, ...]:
    if any(not isinstance(node, yaml.ScalarNode) for node in nodes):
        mistakes.add(line, "a value is no text")
        return ()
    return tuple("" if node.tag.endswith(":null") else str(node.value) for node in nodes)
