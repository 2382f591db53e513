# SPDX-License-Identifier: GPL-3.0-or-later
"""GRUB's menu on the machine where a module runs: its entries, its default, and our own entries."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/")
NOTES = ROOT / "etc/klab/boot/entries"  # one file for each entry: release, arguments
TRIAL = "trial"
_OPEN = re.compile(r"^\s*(menuentry|submenu|function)\b.*\{\s*$")
_ID = re.compile(r"""(?:\$menuentry_id_option|--id)\s+(['"]?)([^\s'"]+)\1""")
_LINUX = re.compile(r"^\s*linux(?:16|efi)?\s+(\S*vmlinuz-(\S+))\s*(.*)$")

# What GRUB's scripts treat as more than itself.
_ODD = re.compile(r"""[$&;|<>{}"'`\\\n]""")


class Trouble(Exception):
    """What cannot be done, in a sentence."""


@dataclass(frozen=True)
class Entry:
    """A menu entry: its path of ids, the kernel's release, and the command line it will have."""

    path: str
    release: str
    cmdline: str
    initrd: bool


def entries(text: str) -> list[Entry]:
    """The entries of a grub.cfg that start a Linux kernel, in their order."""
    found: list[Entry] = []
    stack: list[str] = []
    for line in text.splitlines():
        if _OPEN.match(line):
            marked = _ID.search(line)
            stack.append(marked[2] if marked else "")
        elif line.strip() == "}" and stack:
            stack.pop()
        elif linux := _LINUX.match(line):
            path = ">".join(part for part in stack if part)
            cmdline = " ".join(f"BOOT_IMAGE={linux[1]} {linux[3]}".split())
            found.append(Entry(path, linux[2], cmdline, initrd=False))
        elif found and line.split()[:1] == ["initrd"] and stack:
            found[-1] = Entry(found[-1].path, found[-1].release, found[-1].cmdline, initrd=True)
    return found


def run(*argv: str) -> str:
    """A program's output. Raises Trouble with what it said when it fails."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise Trouble(f"{argv[0]} failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def text(path: Path) -> str:
    """A file's text, empty when there is none."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def menu() -> list[Entry]:
    """The machine's menu entries, without those for rescue.

    The first kernel stands there twice, and the first time under an id that tomorrow may
    mean another one: so the later entry counts, and comes first here.
    """
    listed = entries(text(ROOT / "boot/grub/grub.cfg"))
    return [entry for entry in reversed(listed) if "-recovery-" not in entry.path]


def running() -> str:
    """The command line of the kernel that runs."""
    return " ".join(text(ROOT / "proc/cmdline").split())


def default() -> str:
    """The entry that starts unless another one was asked for; empty when GRUB's first one does."""
    environment = ROOT / "boot/grub/grubenv"
    if 'default="${saved_entry}"' not in text(ROOT / "boot/grub/grub.cfg") or not environment.exists():
        return ""
    block = dict(
        line.partition("=")[::2] for line in run("grub-editenv", str(environment), "list").splitlines()
    )
    return block.get("saved_entry", "")


def note(name: str) -> tuple[str, str] | None:
    """Release and arguments of one of our entries."""
    lines = text(NOTES / name).split("\n")
    return (lines[0], lines[1]) if len(lines) > 1 else None


def write(name: str, release: str, arguments: str) -> None:
    """Note one of our entries; `update-grub` then makes it.

    Raises Trouble for arguments that a menu entry cannot hold as they are.
    """
    if odd := _ODD.search(arguments):
        raise Trouble(
            f"GRUB gives {odd[0]} a meaning, so it cannot stand in the arguments of {release}: {arguments}"
        )
    NOTES.mkdir(parents=True, exist_ok=True)
    draft = NOTES / f".{name}"
    draft.write_text(f"{release}\n{arguments}\n")
    draft.replace(NOTES / name)


def find(release: str, arguments: str) -> Entry | None:
    """The menu entry that starts a kernel with exactly these arguments of its own."""
    kept = note(release)
    if kept is None and not arguments:
        plain = (e for e in menu() if e.release == release and not e.path.startswith("klab-"))
        return next(plain, None)
    return ours(release) if kept == (release, arguments) else None


def ours(name: str) -> Entry | None:
    """The menu entry of a note, None while `update-grub` has not made it."""
    return next((e for e in menu() if e.path == f"klab-{name}"), None)
