# SPDX-License-Identifier: GPL-3.0-or-later
"""A class from its definition: klab.yml and the roster beside it, checked as a whole."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from klab import catalogue, described
from klab.classroom import capacity, placement, roster, sheet
from klab.classroom.model import EXISTING, QEMU, Class, Hypervisor, Seat, Student, classes_dir
from klab.errors import KlabError
from klab.kernel import flavour as flavours
from klab.machine.model import NAME
from klab.paths import repo_dir

STEP = "class: read the definition"
FILE = "klab.yml"
DEFAULT = "inventories/classroom"
MEMORY, CPUS = 512, 1
OF_ANOTHER = ("memory", "disk", "cpus")  # what of another computer cannot be read here


class _Source:
    """The text of a definition, to find lines in, and what is wrong with it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = path.read_text()
        self.mistakes = sheet.Mistakes(path, STEP)

    def line(self, *place: Any) -> int:
        return described.line_of(self.text, place)

    def wrong(self, what: str, *place: Any) -> None:
        self.mistakes.add(self.line(*place), what)


def find(where: Path | str = DEFAULT) -> Path:
    """The klab.yml that a person means by a folder or file, here or in the checkout.

    Raises KlabError when there is none.
    """
    for path in (Path(where), repo_dir() / where):
        file = path / FILE if path.is_dir() else path
        if file.is_file():
            return file.absolute()
    raise KlabError(
        f"there is no class in {where}", step=STEP, mend=f"name a folder with a {FILE}, as {DEFAULT} has it"
    )


def load(where: Path | str = DEFAULT) -> Class:
    """The class, its seats placed. Changes nothing. Raises KlabError that names file and line."""
    path = find(where)
    body = described.read(path, "classroom", STEP)
    source = _Source(path)
    for part in ("hypervisors", EXISTING):
        for name in body.get(part) or {}:
            if not isinstance(name, str):  # YAML's 007 is a number
                source.wrong(f"the name {name!r} is no text: put it in quotes", part, name)
    source.mistakes.raise_any()
    hypervisors = _hypervisors(source, body)
    existing = _existing(source, body)
    course = catalogue.load()
    _words(source, body, course)
    source.mistakes.raise_any()
    students = roster.read(path.parent / body["roster"], body["class"])
    _together(path.parent / body["roster"], students, hypervisors, existing, course)
    if not hypervisors and any(one.seat not in existing for one in students):
        raise source.mistakes.stop(
            source.line("hypervisors"),
            "no hypervisor is named for the seats that are no existing machines",
            "hypervisors: {localhost: {provider: qemu}}",
        )
    return _placed(path, body, hypervisors, students, existing)


def _hypervisors(source: _Source, body: Mapping[str, Any]) -> tuple[Hypervisor, ...]:
    found: dict[tuple[str, str], str] = {}
    made = []
    for name, said in (body.get("hypervisors") or {}).items():
        said = said or {}  # noqa: PLW2901 - `localhost:` alone means the usual
        at = ("hypervisors", name)
        one = Hypervisor(name, **{"place": f"{source.path.name}:{source.line(*at)}", **said})
        if name in roster.OURS or name.startswith(f"{body['class']}-"):
            source.wrong(f"hypervisor {name}: klab itself uses that name", *at)
        if name == "localhost" and one.address:
            source.wrong("hypervisor localhost is this computer and has no address", *at, "address")
        if lacks := [key for key in OF_ANOTHER if one.address and key not in said]:
            source.wrong(f"hypervisor {name} is another computer: say its {', '.join(lacks)}", *at)
        if one.uri and one.provider == QEMU:
            source.wrong(f"hypervisor {name}: uri is for provider libvirt", *at, "uri")
        _address(source, f"hypervisor {name}", one.listen, *at, "listen")
        if first := found.get((one.address, one.provider)):
            source.wrong(f"hypervisor {name} is {first} again", *at)
        found[one.address, one.provider] = name
        made.append(one)
    return tuple(made)


def _address(source: _Source, whose: str, address: str, *place: Any) -> None:
    """Note what nobody can be told to reach."""
    try:
        if ipaddress.IPv4Address(address).is_unspecified:
            source.wrong(f"{whose}: listen at one address, for others are told it", *place)
    except ValueError:
        source.wrong(f"{whose}: {address} is no IPv4 address", *place)


def _existing(source: _Source, body: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[tuple[str, int], str] = {}
    existing = body.get("existing") or {}
    for name, said in existing.items():
        if not NAME.fullmatch(f"{body['class']}-{name}"):
            source.wrong(f"existing machine {name} cannot be a host name: shorten it", EXISTING, name)
        end = (said["address"], said.get("port", 22))
        if first := found.get(end):
            source.wrong(f"existing machine {name} is {first} again", EXISTING, name)
        found[end] = name
    return dict(existing)


def _words(source: _Source, body: Mapping[str, Any], course: catalogue.Course) -> None:
    """Note a flavour or labs that are not there, and an archive that is at no address."""
    if address := body.get("archive"):
        _address(source, "archive", address, "archive")
    names = flavours.names()
    if body.get("flavour", names[0]) not in names:
        source.wrong(f"there is no flavour {body['flavour']!r}: {', '.join(names)}", "flavour")
    for index, word in enumerate(body["labs"]):
        try:
            catalogue.select(course, [word])
        except KlabError as error:
            source.wrong(f"{error.what}: {error.mend}", "labs", index)


def _together(
    path: Path,
    students: tuple[Student, ...],
    hypervisors: tuple[Hypervisor, ...],
    existing: Mapping[str, Any],
    course: catalogue.Course,
) -> None:
    """Raise KlabError for what is wrong with a roster beside this definition and course."""
    mistakes = sheet.Mistakes(path, roster.STEP)
    names = {one.name for one in hypervisors}
    for one in students:
        line = int(one.place.rpartition(":")[2])
        if one.group in names:
            mistakes.add(line, f"group {one.group!r} has the name of a hypervisor")
        if one.login == existing.get(one.seat, {}).get("user"):
            mistakes.add(line, f"login {one.login!r} is the account by which klab reaches {one.seat}")
        if one.path and one.path not in course.paths:
            mistakes.add(line, f"there is no learning path {one.path!r}: {', '.join(course.paths)}")
        if not hypervisors and existing and one.seat not in existing:
            mistakes.add(line, f"seat {one.seat!r} is no existing machine: {', '.join(existing)}")
    mistakes.raise_any()


def _placed(
    path: Path,
    body: Mapping[str, Any],
    hypervisors: tuple[Hypervisor, ...],
    students: tuple[Student, ...],
    existing: Mapping[str, Any],
) -> Class:
    name, state = body["class"], classes_dir() / body["class"]
    memory = body.get("seat", {}).get("memory", MEMORY)
    cpus = body.get("seat", {}).get("cpus", CPUS)
    host = {one.login: f"{name}-{one.seat}" for one in students}
    virtual = [host[one.login] for one in students if one.seat not in existing]
    kept, made = placement.load(state), placement.made(state)
    spread = placement.place(
        virtual,
        capacity.carries(hypervisors, memory, kept, made),
        kept,
        made,
        set(host.values()) - set(virtual),
    )

    def seat(one: Student) -> Seat:
        if said := existing.get(one.seat):
            return Seat(host[one.login], one, EXISTING, **{"port": 22, **said})
        holder = next(h for h in hypervisors if h.name == spread.at[host[one.login]])
        return Seat(host[one.login], one, holder.provider, holder.name, memory=memory, cpus=cpus)

    return Class(
        name=name,
        folder=path.parent,
        hypervisors=hypervisors,
        students=students,
        seats=tuple(map(seat, students)),
        labs=tuple(body["labs"]),
        flavour=body.get("flavour", "lab"),
        memory=memory,
        cpus=cpus,
        internet=body.get("internet", False),
        archive=body.get("archive", ""),
        left=tuple(spread.left.items()),
        moved=tuple(spread.moved.items()),
    )
