# SPDX-License-Identifier: GPL-3.0-or-later
"""Where klab keeps things. The cache may vanish at any time; the state may not."""

from __future__ import annotations

import os
from pathlib import Path

BROUGHT = "brought"  # the file in a checkout's place by which that klab knows


def _xdg(ours: str, xdg: str, default: str) -> Path:
    if value := os.environ.get(ours):
        return Path(value).expanduser().absolute()
    base = os.environ.get(xdg) or Path.home() / default
    return Path(base).absolute() / "klab"


def cache_dir() -> Path:
    """Content-addressed artefacts; safe to delete. Set KLAB_CACHE to move it."""
    return _xdg("KLAB_CACHE", "XDG_CACHE_HOME", ".cache")


def state_dir() -> Path:
    """Machines, their disks and keys, and run logs. Set KLAB_STATE to move it."""
    return _xdg("KLAB_STATE", "XDG_STATE_HOME", ".local/state")


def log_dir() -> Path:
    """Logs of builds and machines, newest runs kept under their step's name."""
    return state_dir() / "logs"


def repo_dir() -> Path:
    """The checkout that this klab runs from. Set KLAB_REPO for an installed klab."""
    if value := os.environ.get("KLAB_REPO"):
        return Path(value).absolute()
    return Path(__file__).resolve().parents[2]


def laid() -> Path | None:
    """The folder in which role micro_guest laid this klab on a lab machine; None for any other klab."""
    folder = Path(__file__).resolve().parents[1]
    return folder if (folder / "laid.json").exists() else None


def brought() -> bool:
    """Whether this klab was brought to a hypervisor (spread/lay.py), without Ansible and graders."""
    return (repo_dir() / BROUGHT).exists()


def data_file(name: str) -> Path:
    """A file that ships inside the package, by its name below klab/data."""
    return Path(__file__).resolve().parent / "data" / name


def tilde(path: Path | str) -> str:
    """The path as people write it: `~/…` below the home folder."""
    text, home = str(path), str(Path.home())
    return f"~{text[len(home) :]}" if text.startswith(f"{home}/") else text
