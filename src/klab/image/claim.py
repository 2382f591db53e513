# SPDX-License-Identifier: GPL-3.0-or-later
"""Which run of Ansible works on a tree between two verbs.

A lock lives as long as its process, and a verb ends long before the roles do. So
the run's own process is noted beside the tree; when it has died, the claim is void.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from klab import lock
from klab.errors import KlabError
from klab.paths import cache_dir

_RUNS = (b"ansible-playbook", b"ansible\0playbook", b"molecule")


def _stat(pid: int) -> tuple[int, int]:
    """Parent and start time (clock ticks since boot) of a process; zeros when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0, 0
    return int(fields[1]), int(fields[19])


def current_run(pid: int | str = "self") -> str:
    """The Ansible run above this process as "pid start"; empty when there is none.

    The topmost one counts: a run's workers are its children.
    """
    found = ""
    number = int(Path(f"/proc/{pid}").resolve().name)
    while number > 1:
        parent, start = _stat(number)
        try:
            command = Path(f"/proc/{number}/cmdline").read_bytes()
        except OSError:
            break
        if any(name in command for name in _RUNS):
            found = f"{number} {start}"
        number = parent
    return found


def alive(claim: str) -> bool:
    """Whether the run of a claim still goes on."""
    try:
        pid, start = map(int, claim.split())
    except ValueError:
        return False
    return _stat(pid)[1] == start


@contextmanager
def held(tree: Path) -> Iterator[None]:
    """Claim a tree for the run under way, and lock it while the block runs.

    Raises KlabError when another run works on it.
    """
    folder = tree.parent
    with lock.held(cache_dir() / "locks" / folder.name, f"the image's {folder.name[:17]}"):
        note = folder / "claim"
        known = note.read_text() if note.exists() else ""
        mine = current_run()
        if known != mine and alive(known):
            pid = known.split()[0]
            raise KlabError(
                f"another run of Ansible (pid {pid}) is already at work on the image's {folder.name[:17]}",
                step="image: lock",
                mend=f"wait until it ends, or stop it: kill {pid}",
            )
        folder.mkdir(parents=True, exist_ok=True)
        note.write_text(mine)
        yield


def abandoned() -> list[Path]:
    """The folders of trees that no run works on: of cut-off builds that nobody took up."""
    idle = []
    for folder in sorted((cache_dir() / "work").glob("tree-*")):
        note = folder / "claim"
        if note.exists() and alive(note.read_text()):
            continue
        try:
            with lock.held(cache_dir() / "locks" / folder.name, folder.name):
                idle.append(folder)
        except KlabError:
            continue  # a verb that was called by hand is at work there
    return idle
