# SPDX-License-Identifier: GPL-3.0-or-later
"""Proofs of labs: kept by what they depend on, shown as table, JUnit and committed data."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from klab import catalogue
from klab import digest as digests
from klab.catalogue import Lab, pages
from klab.errors import KlabError
from klab.kernel import artefact
from klab.paths import cache_dir, repo_dir

GREEN, RED, CANNOT_TELL, NOT_RUN = "green", "red", "cannot tell", "not run"
STOPPED, AFTER = "stopped", "a step before it was not green"
LATE = "there was no time left to begin with it"
FOLLOWS = {STOPPED, AFTER}  # reasons that need no line of their own
# What a verdict depends on beside lab and kernel, below src/klab.
CODE = (
    *("testing", "lab", "guest", "sandbox.py", "patching.py", "kernel/student.py", "kernel/layers.py"),
    *("accel.py", "machine/argv.py", "data/guest-init.sh", "data/splats.yml"),
)
USED = "debuggee"  # on which only those depend whose grader names it


@dataclass(frozen=True)
class Step:
    """A step of the contract: its verdict, why it is not green, and what the grader saw first.

    test: of the grader, the one that called an answer wrong.
    """

    name: str
    word: str
    reason: str
    wall_s: float
    saw: str = ""
    test: str = ""


@dataclass(frozen=True)
class Proof:
    """The contract of one lab at one time. at: epoch seconds; key: digest of what it depends on."""

    lab: str
    steps: tuple[Step, ...]
    wall_s: float
    at: int
    key: str
    kernel: str
    where: str

    @property
    def word(self) -> str:
        """Green only when every step is."""
        words = {step.word for step in self.steps}
        for word in (RED, CANNOT_TELL, NOT_RUN):
            if word in words:
                return word
        return GREEN if words else NOT_RUN

    @property
    def late(self) -> bool:
        """Whether it did not begin for want of time, which is no verdict on the lab."""
        return any(step.reason == LATE for step in self.steps)

    @property
    def reasons(self) -> list[str]:
        """Why it is not green, a line for each step."""
        bad = [step for step in self.steps if step.word != GREEN and step.reason not in FOLLOWS]
        return [f"{step.name}: {step.word}: {step.reason}" for step in bad]

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> Proof:
        """Read what as_dict wrote."""
        return cls(**{**body, "steps": tuple(Step(**step) for step in body["steps"])})

    def as_dict(self) -> dict[str, Any]:
        """The proof as data."""
        return asdict(self)


def key(lab: Lab) -> str:
    """What the lab's proof depends on. A kernel that is not there counts as such."""
    kernels = [artefact.find(name) for name in lab.flavours]
    code = Path(__file__).resolve().parents[1]
    names = (*CODE, USED) if USED in lab.grader.read_text() else CODE
    parts = [code / name for name in names]
    return digests.of_data(
        [
            digests.of_tree(lab.folder),
            [kernel.digest if kernel else "" for kernel in kernels],
            [digests.of_tree(p) if p.is_dir() else digests.of_file(p) for p in parts],
        ]
    )


def proof(lab: Lab, key: str, steps: tuple[Step, ...], wall_s: float) -> Proof:
    """A proof made now of the lab as `key` names it."""
    kernel = artefact.find(lab.kernel)
    known = digests.short(kernel.digest) if kernel else ""
    return Proof(lab.id, steps, round(wall_s, 1), int(time.time()), key, known, lab.where)


def _file(lab: str) -> Path:
    return cache_dir() / "proofs/labs" / f"{lab}.json"


def keep(made: Proof) -> None:
    """Keep a proof as the lab's last one."""
    path = _file(made.lab)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps(made.as_dict(), indent=2, sort_keys=True) + "\n")
    draft.replace(path)


def last(lab: Lab) -> Proof | None:
    """The lab's last proof, outdated or not; None when it never ran."""
    try:
        return Proof.from_dict(json.loads(_file(lab.id).read_text()))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def took_s(labs: Sequence[Lab]) -> dict[str, float]:
    """Seconds that the last proofs of labs took, here or where the committed ones were made.

    Those of a lab that was never proved are left out.
    """
    shown = _committed("contract: estimate")
    here = {lab.id: found.wall_s for lab in labs if (found := last(lab))}
    there = {lab.id: float(shown[lab.id]["wall_s"]) for lab in labs if lab.id in shown}
    return there | here


def caught(lab: Lab) -> dict[str, str]:
    """The test that called an answer wrong in the last proof, here or where the committed one was made.

    By the step's name. It may be outdated, and decides nothing but which test comes first.
    """
    there = _committed("contract: order").get(lab.id, {}).get("caught", {})
    here = last(lab)
    return {**there, **{step.name: step.test for step in (here.steps if here else ()) if step.test}}


def valid(lab: Lab) -> Proof | None:
    """The lab's last proof when nothing that it depends on has changed since."""
    known = last(lab)
    return known if known and known.key == key(lab) else None


def current(lab: Lab) -> Proof:
    """The lab's proof as far as it still holds; else one that says why nothing is proved."""
    known = last(lab)
    if known is None:
        return Proof(lab.id, (), 0, 0, "", "", lab.where)
    if known.key == key(lab):
        return known
    was = Step("contract", NOT_RUN, f"it was {known.word}; lab, kernel or grader have changed since", 0)
    return replace(known, steps=(was,))


def table(proofs: Iterable[Proof]) -> str:
    """The proofs for people: a line each, and why under those that are not green."""
    lines = [f"{'lab':<46} {'where':<8} {'verdict':<12} {'steps':>7} {'wall s':>7}  {'proved':<16}"]
    for each in proofs:
        good = sum(step.word == GREEN for step in each.steps)
        when = time.strftime("%F %H:%M", time.localtime(each.at)) if each.at else "never"
        steps = f"{good}/{len(each.steps)}"
        lines.append(f"{each.lab:<46} {each.where:<8} {each.word:<12} {steps:>7} {each.wall_s:>7.1f}  {when}")
        lines += [f"    {line}" for reason in each.reasons for line in reason.splitlines()]
    return "\n".join(lines)


def count(proofs: Iterable[Proof]) -> str:
    """One line: how many are green, and what the others are."""
    words = [proof.word for proof in proofs]
    others = [f"{words.count(word)} {word}" for word in (RED, CANNOT_TELL, NOT_RUN) if word in words]
    return ", ".join([f"{words.count(GREEN)} of {len(words)} labs green", *others])


def junit(proofs: Iterable[Proof], path: Path) -> None:
    """Write a JUnit report: a suite for each lab, a case for each step."""
    root = ET.Element("testsuites")
    for each in proofs:
        steps = each.steps or (Step("contract", NOT_RUN, "never run", 0),)
        words = [step.word for step in steps]
        counts = {"failures": RED, "errors": CANNOT_TELL, "skipped": NOT_RUN}
        suite = ET.SubElement(root, "testsuite", name=each.lab, tests=str(len(steps)), time=str(each.wall_s))
        for name, word in counts.items():
            suite.set(name, str(words.count(word)))
        for step in steps:
            case = ET.SubElement(suite, "testcase", classname=each.lab, name=step.name, time=str(step.wall_s))
            tag = {RED: "failure", CANNOT_TELL: "error", NOT_RUN: "skipped"}.get(step.word)
            if tag:
                ET.SubElement(case, tag, message=step.reason.partition("\n")[0]).text = step.reason
    path.parent.mkdir(parents=True, exist_ok=True)
    ET.indent(root)
    ET.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def _committed(step: str) -> dict[str, Any]:
    """The last proofs as the repository shows them."""
    try:
        return pages.proved(repo_dir())
    except ValueError as error:
        mend = f"git checkout {pages.PROOFS}"
        raise KlabError(f"{pages.PROOFS}: {error}", step=step, mend=mend) from None


def write(proofs: Iterable[Proof], course: catalogue.Course) -> bool:
    """Update the committed data with these proofs; whether it changed.

    Labs that are no longer in the course go. Raises KlabError when it cannot be read.
    """
    path = repo_dir() / pages.PROOFS
    old = _committed("contract: write")
    new = {lab: body for lab, body in old.items() if lab in course.labs}
    for each in proofs:
        if each.word in {GREEN, RED}:
            date = time.strftime("%F", time.gmtime(each.at))
            tests = {step.name: step.test for step in each.steps if step.test}
            body = {"date": date, "kernel": each.kernel, "verdict": each.word, "wall_s": each.wall_s}
            new[each.lab] = {**body, "caught": tests}
    path.parent.mkdir(parents=True, exist_ok=True)
    if new != old:
        path.write_text(json.dumps(new, indent=2, sort_keys=True) + "\n")
    return bool(new != old)
