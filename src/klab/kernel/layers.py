# SPDX-License-Identifier: GPL-3.0-or-later
"""A source with somebody's patch on it, without a copy of the source.

A tree has ninety thousand files, a patch touches five. Only the folders of those are laid
out anew; wherever the tree is shown, they are shown over it.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path, PurePosixPath

from klab.errors import KlabError
from klab.patching import git_apply

STEP = "kernel: patch"
LIMIT = 1 << 20  # bytes of a patch


class Unpatched(KlabError):
    """A patch that does not apply: the fault of who wrote it."""


def _named(patch: Path, folder: Path) -> set[str]:
    """All files that a patch names, under their old and their new names."""
    if patch.stat().st_size > LIMIT:
        raise Unpatched(
            f"{patch.name} has more than {LIMIT >> 20} MiB", step=STEP, mend="send what you changed"
        )
    said = git_apply(folder, ["--numstat", "-z", patch.resolve()])
    back = git_apply(folder, ["--numstat", "-z", "-R", patch.resolve()])
    if said.returncode:
        raise _refused(patch, said.stderr)
    records = [line for line in f"{said.stdout}{back.stdout}".split("\0") if line]
    return {record.split("\t")[-1] for record in records}


def _refused(patch: Path, said: str) -> Unpatched:
    return Unpatched(
        f"{patch.name} does not apply to the pinned tree:\n{said.strip()[:1500]}",
        step=STEP,
        mend="make it with git format-patch --stdout against the unchanged tree",
    )


def _plain(tree: Path, name: str) -> Path | None:
    """The tree's own file of that name; a link leads nowhere here."""
    path = tree / name
    return path if path.is_file() and path.resolve() == tree.resolve() / name else None


def patched(tree: Path, patch: Path | None, folder: Path) -> set[str]:
    """Lay the files that a patch touches into the empty `folder`, and apply it there.

    Returns their names; those that the patch removes are not there. Raises Unpatched.
    """
    folder.mkdir(parents=True)
    if not patch or not patch.stat().st_size:
        return set()
    names = _named(patch, folder)
    for name in names:
        if source := _plain(tree, name):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, folder / name)
    said = git_apply(folder, [patch.resolve()])
    if said.returncode:
        raise _refused(patch, said.stderr)
    return names


def lay(
    tree: Path, patch: Path | None, folder: Path, place: str, *, before: Path | None = None
) -> dict[str, Path]:
    """What to show where, so that `place` shows the tree with the patch: {place: folder}.

    folder: takes the new layers. before: the patch of what the build goes on from; all that
    it touches is new here, too, or make would take what was made of it for what is to be
    made now. Parents come before what lies in them. Raises Unpatched.
    """
    changed = folder / "changed"
    names = patched(tree, patch, changed)
    anew = _named(before, changed) if before else set()
    shown = {place: tree}
    for name in sorted(_folders(tree, names | anew)):
        layer = folder / "layers" / f"%{name.replace('/', '%')}"
        layer.mkdir(parents=True)
        over = {path.name: path for path in (changed / name).iterdir()} if (changed / name).is_dir() else {}
        here = place if name == "." else f"{place}/{name}"
        shown[here] = layer
        for path in sorted((tree / name).iterdir()):
            if path.is_dir() and not path.is_symlink():
                (layer / path.name).mkdir()
                shown[f"{here}/{path.name}"] = path
            elif (known := path.relative_to(tree).as_posix()) not in names:
                shutil.copy2(path, layer / path.name, follow_symlinks=False)
                if known in anew:
                    os.utime(layer / path.name)
        for path in over.values():
            _add(path, layer / path.name)
    return shown


def _folders(tree: Path, names: set[str]) -> set[str]:
    """The tree's folders whose content changes: of a new folder, the one that it lies in."""
    found = set()
    for name in names:
        above = PurePosixPath(name).parent
        while not (tree / above).is_dir():
            above = above.parent
        found.add(str(above))
    return found


def _add(path: Path, target: Path) -> None:
    """A file of the patch, or a folder that is new; one that the tree has gets its own layer."""
    if path.is_symlink() or path.is_file():
        shutil.copy2(path, target, follow_symlinks=False)
    elif not target.exists():
        shutil.copytree(path, target, symlinks=True)
