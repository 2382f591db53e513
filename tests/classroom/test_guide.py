# SPDX-License-Identifier: GPL-3.0-or-later
"""The class of docs/guide/instructor.md, typed from its plan to its end as it is written.

In a checkout of its own, by somebody whose home folder is new. One of the three computers never answers.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from klab.paths import cache_dir, repo_dir

GUIDE = "docs/guide/instructor.md"
DEADLINE_S, WATCHED_S = 600, 10
ROSTER = ["login,name,key,seat,group,path", "student01,One,,,blue,", "student02,Two,,,,"]
DEAD = "pc07,Nobody,,pc07,,"
CLOUD = """all: {children: {GROUP: {hosts: {
  vm1: {ansible_host: 192.0.2.21, ansible_user: debian}, vm2: {ansible_host: 192.0.2.22}}}}}
"""
OPEN = ".venv/bin/ansible-playbook playbooks/classroom_open.yml -i inventories/classroom"
# By how a line begins: its exit status, and parts of what it says.
SAYS: dict[str, tuple[int, tuple[str, ...]]] = {
    ".venv/bin/klab class plan": (0, ("kernel-student01", "kernel-pc07")),
    ".venv/bin/ansible-inventory -i inventories/classroom --graph": (0, ("@blue:", "kernel-pc07")),
    ".venv/bin/klab class cards": (0, ("cards.html", "class.html")),
    f"{OPEN} --check": (4, ()),
    OPEN: (4, ("kernel-pc07: ",)),
    f"{OPEN} --limit": (4, ("1 seats to do again",)),
    ".venv/bin/klab class status --watch": (130, ("student01", "started")),
    ".venv/bin/klab class status --html": (130, ("student01",)),
    ".venv/bin/klab class lab open": (0, ("0 of 1 seats changed",)),
    ".venv/bin/klab class lab renew": (0, ("changed 0 of 2 seats",)),
    ".venv/bin/klab class lab close": (0, ("2 of 2 seats changed",)),
    ".venv/bin/klab class say": (0, ()),
    ".venv/bin/klab class restore": (0, ("kernel-student01 is as new",)),
    ".venv/bin/klab class collect": (0, ()),
    ".venv/bin/klab class grade": (0, ()),
    ".venv/bin/klab class verify results/local/grades": (0, ()),
    ".venv/bin/klab class archive": (0, (".tar.gz",)),
    ".venv/bin/klab class verify /srv/archives/": (0, ()),
    ".venv/bin/ansible-playbook playbooks/classroom_close.yml": (0, ()),
    ".venv/bin/ansible-inventory -i CLOUD.yml": (0, ()),
    "jq -r '\"existing:": (0, ()),
    "jq -r '\"login,": (0, ()),
}
# What is typed on other computers, or needs some, is typed by another test.
ELSEWHERE = {
    "apt-get install --no-install-recommends libvirt": "tests/classroom/libvirtd.py",
    ".venv/bin/klab vm libvirt": "tests/classroom/test_libvirt.py",
    "virsh ": "tests/classroom/test_libvirt.py",
    "apt-get install --no-install-recommends openssh": "tests/classroom/computers.py",
    ".venv/bin/klab class hypervisors": "tests/classroom/test_hypervisors.py",
    ".venv/bin/klab class spread": "tests/classroom/test_hypervisors.py",
    "ssh klab@": "tests/classroom/test_hypervisors.py",
}


def lines() -> list[str]:
    """What the guide says to type about a class, without remarks."""
    text = (repo_dir() / GUIDE).read_text()
    part = text[text.index("## A class\n") : text.index("## Machines with a boot loader\n")]
    fence, typed = "", []
    for line in part.splitlines():
        if line.startswith("```"):
            fence = line[3:]
        elif fence == "sh" or (line.startswith("    ") and not fence):
            typed.append(re.sub(r"\s+# .*", "", line.strip()))
    return typed


def known(line: str) -> str | None:
    """The beginning under which a line is known here, the longest one."""
    return max((key for key in (*SAYS, *ELSEWHERE) if line.startswith(key)), key=len, default=None)


@dataclass
class Teacher:
    """Somebody with a checkout and a new home."""

    checkout: Path
    home: Path

    @property
    def env(self) -> dict[str, str]:
        """What a login gives; what is in klab's cache stays usable."""
        return {
            **{name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ},
            "HOME": str(self.home),
            "KLAB_CACHE": str(cache_dir()),
            "PYTHONPATH": str(self.checkout / "src"),
        }

    def type(self, line: str) -> tuple[int, str]:
        """Type a line; its exit status, and what it says. What watches is ended as by Ctrl-C."""
        with subprocess.Popen(
            ["bash", "-c", line],
            cwd=self.checkout,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as run:
            try:
                said, _ = run.communicate(timeout=WATCHED_S if "--watch" in line else DEADLINE_S)
            except subprocess.TimeoutExpired:
                os.killpg(run.pid, signal.SIGINT)
                said, _ = run.communicate(timeout=DEADLINE_S)
        return run.returncode, said

    def roster(self, *rows: str) -> None:
        """Write who comes."""
        (self.checkout / "inventories/classroom/roster.csv").write_text("\n".join([*ROSTER, *rows]) + "\n")


@pytest.fixture(scope="module")
def teacher() -> Iterator[Teacher]:
    with tempfile.TemporaryDirectory(prefix="klab-t-") as name:
        made = Teacher(Path(name, "klab"), Path(name, "home"))
        made.home.mkdir()
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=repo_dir(), capture_output=True, text=True, check=True,
        )  # fmt: skip
        for file in filter(None, listed.stdout.split("\0")):
            if (repo_dir() / file).exists():
                (made.checkout / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(repo_dir() / file, made.checkout / file, follow_symlinks=False)
        (made.checkout / ".venv").symlink_to(repo_dir() / ".venv")
        definition = made.checkout / "inventories/classroom/klab.yml"
        definition.write_text(
            definition.read_text() + "existing:\n  pc07: {address: 127.0.0.1, user: debian, port: 1}\n"
        )
        made.roster(DEAD)
        yield made
        for each in ("student01", "student02", "template"):
            made.type(f".venv/bin/klab vm destroy --yes --name kernel-{each}")


@pytest.fixture(scope="module")
def typed(teacher: Teacher) -> dict[str, tuple[str, int, str]]:
    """Each line, as it was typed, its exit status and what it said, by how it begins."""
    found: dict[str, tuple[str, int, str]] = {}
    words = {"/srv/archives": str(teacher.home / "archives")}
    for written in lines():
        line, key = written, known(written)
        if key not in SAYS:
            continue
        if line.startswith(".venv/bin/klab class status") and " @" not in line:
            teacher.roster()  # one gives up on the computer that never answers
        if line.startswith(".venv/bin/ansible-inventory -i CLOUD.yml"):
            (teacher.checkout / "CLOUD.yml").write_text(CLOUD)
        for name, value in words.items():
            line = line.replace(name, value)
        code, said = teacher.type(line)
        found[key] = (line, code, said)
        if told := re.search(r"--limit @(\S+)", said):
            words["@FILE"] = f"@{told[1]}"
        if told := re.search(r"[^/\s]+\.tar\.gz", said):
            words["FILE.tar.gz"] = told[0]
    return found


def test_each_line_of_the_guide_is_known_here() -> None:
    assert [line for line in lines() if not known(line)] == []
    assert {known(line) for line in lines()} == {*SAYS, *ELSEWHERE}
    assert [path for path in ELSEWHERE.values() if not (repo_dir() / path).exists()] == []


@pytest.mark.parametrize("key", SAYS)
def test_it_does_what_the_guide_promises(typed: dict[str, tuple[str, int, str]], key: str) -> None:
    line, code, said = typed[key]
    wanted, words = SAYS[key]
    assert (code, [word for word in words if word not in said]) == (wanted, []), f"{line}\n{said[-3000:]}"


def test_a_cloud_s_machines_are_a_class(typed: dict[str, tuple[str, int, str]], teacher: Teacher) -> None:
    place = teacher.checkout / "cloud"
    place.mkdir()
    (place / "klab.yml").write_text(
        "plugin: klab\nclass: cloud\nroster: roster.csv\nlabs: [lkm-lifecycle]\n"
        + (teacher.checkout / "klab.yml").read_text()
    )
    shutil.copy(teacher.checkout / "roster.csv", place)
    code, said = teacher.type(".venv/bin/klab class plan --class cloud")
    assert (code, "192.0.2.21" in said, "cloud-vm2" in said) == (0, True, True), said


def test_nothing_of_the_class_is_left(typed: dict[str, tuple[str, int, str]], teacher: Teacher) -> None:
    _, said = teacher.type(".venv/bin/klab vm list --json")
    assert "kernel-" not in said
