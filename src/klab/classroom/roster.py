# SPDX-License-Identifier: GPL-3.0-or-later
"""The roster: read whole and judged before anything is touched, all mistakes told at once."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

from klab.classroom import pubkey, sheet
from klab.classroom.model import ACCOUNT, Student
from klab.machine.model import NAME

STEP = "class: read the roster"
NEEDED = ("login", "name", "key")
COLUMNS = (*NEEDED, "seat", "group", "path")
STUDENTS = 2000
LOGIN = re.compile(r"[a-z_][a-z0-9_-]{0,31}")  # what useradd takes, less its closing $
SEAT = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
GROUP = re.compile(r"[a-z][a-z0-9_]{0,30}")  # what Ansible takes for a group without a warning
PATH = re.compile(r"[a-z][a-z0-9-]*")
NAME_LENGTH = 80
FORMULA = tuple("=+-@\t\r")  # how a cell begins that an office program would compute
# Control characters, and those that turn a line's direction: a name on a card is what it looks like.
HIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
# Accounts and groups of Debian's base and of what klab's images hold, and our own account.
RESERVED = frozenset(
    "root daemon bin sys sync games man lp mail news uucp proxy www-data backup list irc nobody nogroup"
    " messagebus sshd polkitd dnsmasq libvirt-qemu libvirt kvm tcpdump wireshark docker perf adm sudo"
    " tty disk dialout cdrom floppy tape audio video plugdev staff users utmp shadow crontab input render"
    " sgx netdev kmem dip fax voice sasl src rdma clock _apt _ssh _chrony admin operator klab halt"
    f" shutdown {ACCOUNT}".split()
)
# Groups of the inventory, and what Ansible keeps for itself.
OURS = frozenset({"all", "ungrouped", "control", "builders", "hypervisors", "lab_machines", "seats"})


def read(path: Path, prefix: str) -> tuple[Student, ...]:
    """The students of a roster, CSV or YAML by its name, in its order.

    prefix: what stands before a seat's name in its host name. Raises KlabError that names
    every mistake with its line.
    """
    mistakes, columns = sheet.Mistakes(path, STEP), sheet.Mistakes(path, STEP)
    text = sheet.decode(path, mistakes)
    if path.suffix in (".yml", ".yaml"):
        rows = sheet.from_yaml(text, mistakes)
        for row in rows:
            _columns(list(row.cells), row.line, columns, needed=("login", "name"))
    else:
        names, rows = sheet.from_csv(text, mistakes)
        _columns(names, 1, columns, needed=NEEDED)
    columns.raise_any()  # where they are wrong, what stands in them only confuses
    if not rows and not mistakes.found:
        raise mistakes.stop(1, "there is no student in it", f"write {','.join(COLUMNS)} and a line for each")
    if len(rows) > STUDENTS:
        raise mistakes.stop(rows[STUDENTS].line, f"it has more than {STUDENTS} students", "split the class")
    judge = _Judge(path, prefix, mistakes)
    students = tuple(judge.student(row) for row in rows)
    mistakes.raise_any()
    return students


def _columns(names: list[str], line: int, mistakes: sheet.Mistakes, *, needed: tuple[str, ...]) -> None:
    """Note columns that are missing, unknown or there twice."""
    if not set(names) & set(COLUMNS):
        mistakes.add(line, f"the first line names the columns: {','.join(COLUMNS)}")
        return
    for name in dict.fromkeys(names):
        if name not in COLUMNS:
            near = difflib.get_close_matches(name, COLUMNS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(COLUMNS)}"
            mistakes.add(line, f"unknown column {name!r}: {hint}")
        elif names.count(name) > 1:
            mistakes.add(line, f"column {name} stands there twice")
    for name in needed:
        if name not in names:
            empty = ", which may be empty" if name == "key" else ""
            mistakes.add(line, f"column {name}{empty} is missing")


class _Judge:
    """Judges rows one after another and knows what the earlier ones said."""

    def __init__(self, path: Path, prefix: str, mistakes: sheet.Mistakes) -> None:
        self.path = path
        self.prefix = prefix
        self.mistakes = mistakes
        self.lines: dict[tuple[str, str | bytes], int] = {}

    def _once(self, row: sheet.Row, kind: str, value: str | bytes, shown: str) -> None:
        """Note a value that an earlier row has, too."""
        if first := self.lines.get((kind, value)):
            self.mistakes.add(row.line, f"{shown} stands in line {first}, too")
        else:
            self.lines[kind, value] = row.line

    def _cell(self, row: sheet.Row, column: str, *, needed: bool = False) -> str:
        """A cell's text; what cannot stand there is noted, and taken for empty."""
        values = row.cells.get(column, ())
        text = sheet.tidy(values[0]) if values else ""
        if len(values) > 1:
            self.mistakes.add(row.line, f"{column} is more than one value")
        elif values and self._formula(row, column, values[0]):
            return ""
        elif HIDDEN.search(text):
            self.mistakes.add(row.line, f"{column} holds a character that nobody sees")
            return ""
        elif needed and not text:
            self.mistakes.add(row.line, f"{column} is empty")
        return text

    def _formula(self, row: sheet.Row, column: str, text: str) -> bool:
        """Whether an office program would compute the cell; then it is noted."""
        found = text.startswith(FORMULA) or text.strip().startswith(FORMULA)
        if found:
            sign = text.strip()[:1] if text.strip().startswith(FORMULA) else text[:1]
            self.mistakes.add(row.line, f"{column} begins with {sign!r}, as a formula does")
        return found

    def student(self, row: sheet.Row) -> Student:
        """The student of a row; what is wrong with it is noted."""
        login, name = self._login(row), self._cell(row, "name", needed=True)
        if len(name) > NAME_LENGTH:
            self.mistakes.add(row.line, f"name has more than {NAME_LENGTH} letters")
        group, path = self._cell(row, "group"), self._cell(row, "path")
        if group and (not GROUP.fullmatch(group) or group in OURS):
            why = "is klab's own" if group in OURS else "is not made of lower-case letters, digits and _"
            self.mistakes.add(row.line, f"group {group!r} {why}")
        if path and not PATH.fullmatch(path):
            self.mistakes.add(row.line, f"path {path!r} is no learning path: klab path lists them")
        return Student(
            login=login,
            name=name,
            keys=self._keys(row),
            seat=self._seat(row, login),
            group=group,
            path=path,
            place=f"{self.path.name}:{row.line}",
        )

    def _login(self, row: sheet.Row) -> str:
        login = self._cell(row, "login", needed=True)
        if not login:
            return ""
        if not LOGIN.fullmatch(login):
            self.mistakes.add(
                row.line, f"login {login!r} is not made of a-z, 0-9, - and _, a letter first, at most 32"
            )
        elif login in RESERVED or login.startswith("systemd-"):
            self.mistakes.add(row.line, f"login {login!r} is an account or a group of the system")
        self._once(row, "login", login, f"login {login}")
        return login

    def _seat(self, row: sheet.Row, login: str) -> str:
        """The seat's name; the login, where it is not told."""
        said = self._cell(row, "seat")
        seat = said or login
        if not seat or not (said or LOGIN.fullmatch(login)):  # an empty or wrong login is told already
            return seat
        host = f"{self.prefix}-{seat}"
        if not SEAT.fullmatch(seat) or not NAME.fullmatch(host):
            hint = "" if said else "; say another in column seat"
            self.mistakes.add(
                row.line,
                f"seat {seat!r} cannot be a host name: {host} is to have a-z, 0-9 and -, at most 31{hint}",
            )
        if said or self.lines.get(("login", login)) == row.line:  # else the login is told already
            self._once(row, "seat", seat, f"seat {seat}")
        return seat

    def _keys(self, row: sheet.Row) -> tuple[str, ...]:
        """The keys of a row: lines in the cell, or those of a .pub file beside the roster."""
        keys: list[str] = []
        for value in row.cells.get("key", ()):
            if not value.lstrip().startswith("-----") and self._formula(row, "key", value):
                continue
            for line in self._lines(row, value):
                try:
                    key = pubkey.parse(line)
                except ValueError as error:
                    self.mistakes.add(row.line, f"key is no public key: {error}")
                    break
                self._once(row, "key", key.blob, "this key")
                keys.append(key.line)
        return tuple(keys)

    def _lines(self, row: sheet.Row, value: str) -> list[str]:
        """What a key's cell says, line by line, its file read."""
        text = value.strip()
        if pubkey.PRIVATE.search(text):
            return [text]
        if text.endswith(".pub") and len(text.split()) == 1:
            folder = self.path.parent.resolve()
            file = (folder / text).resolve()
            try:
                if not file.is_relative_to(folder) or (file.exists() and not file.is_file()):
                    raise OSError(0, "it is no file below the roster's folder")
                with file.open(encoding="utf-8-sig", errors="replace") as stream:
                    text = stream.read(sheet.LIMIT).strip()
            except OSError as error:
                self.mistakes.add(row.line, f"key {value.strip()} cannot be read: {error.strerror}")
                return []
            if not text:
                self.mistakes.add(row.line, f"key {value.strip()} is empty")
            if pubkey.PRIVATE.search(text):
                return [text]
        lines = [" ".join(line.split()) for line in text.splitlines()]
        return [line for line in lines if line and not line.startswith("#")]
