# SPDX-License-Identifier: GPL-3.0-or-later
"""The initramfs of throw-away guests: Debian's static busybox and our init.

A cpio archive in format newc (Linux, Documentation/driver-api/early-userspace/
buffer-format.rst). Archives may follow one another; a guest's command is a second one.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from klab import digest as digests
from klab import run, store
from klab.errors import KlabError
from klab.paths import data_file, laid, log_dir

KIND = "initramfs"
NAME = "base.cpio"
BUSYBOX = "busybox-static"
STEP = "guest: initramfs"
FILE, FOLDER, LINK, DEVICE = 0o100000, 0o040000, 0o120000, 0o020000
PROGRAM, DATA = FILE | 0o755, FILE | 0o644

# What lies where in a guest: {path without its first slash: (mode with its type, content)}.
Files = Mapping[str, tuple[int, bytes]]
Content = bytes | str | Path


def _record(name: str, mode: int, content: bytes = b"", device: tuple[int, int] = (0, 0)) -> bytes:
    """One entry; all belong to root and bear no time, so equal input gives equal bytes."""
    path = name.encode() + b"\0"
    fields = [0, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(path), 0]
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + path
    return head + b"\0" * (-len(head) % 4) + content + b"\0" * (-len(content) % 4)


# What init says before it has mounted /dev goes to the console. An archive before another one.
CONSOLE = _record("dev", FOLDER | 0o755) + _record("dev/console", DEVICE | 0o600, device=(5, 1))


def contents(files: Mapping[str, Content]) -> dict[str, tuple[int, bytes]]:
    """Bytes, texts and files of the host as a guest gets them; a file that is executable here is so there."""
    found: dict[str, tuple[int, bytes]] = {}
    for name, content in files.items():
        if isinstance(content, Path):
            mode = PROGRAM if content.stat().st_mode & 0o100 else DATA
            found[name.lstrip("/")] = (mode, content.read_bytes())
        else:
            found[name.lstrip("/")] = (DATA, content.encode() if isinstance(content, str) else content)
    return found


def archive(files: Files) -> bytes:
    """A cpio archive of {path: (mode with its type, content)}; folders above them are added."""
    folders = {str(above) for name in files for above in Path(name).parents} - {"."}
    whole = {**dict.fromkeys(sorted(folders), (FOLDER | 0o755, b"")), **files}
    records = b"".join(_record(name, mode, content) for name, (mode, content) in whole.items())
    return records + _record("TRAILER!!!", 0)


def _applets(busybox: Path) -> list[str]:
    said = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout
    return [name for name in said.split() if name != "busybox"]


def _base(busybox: Path) -> bytes:
    files = dict.fromkeys(("bin", "dev", "klab", "proc", "sys", "tmp"), (FOLDER | 0o755, b""))
    files["bin/busybox"] = (PROGRAM, busybox.read_bytes())
    files.update({f"bin/{name}": (LINK | 0o777, b"busybox") for name in _applets(busybox)})
    files["init"] = (PROGRAM, data_file("guest-init.sh").read_bytes())
    return CONSOLE + archive(files)


def _download(folder: Path) -> Path:
    """Debian's static busybox, through the build root's apt, which checks its signature."""
    from klab import mirror  # noqa: PLC0415 - a lab machine's klab does without
    from klab.kernel import root  # noqa: PLC0415 - the same

    tools = root.ready().with_binds({"/klab/get": folder})
    log = log_dir() / "guest-initramfs.log"
    script = (
        "set -e; cd /klab/get; mkdir -p lists/partial; apt='apt-get -q -o Dir::State::lists=/klab/get/lists"
        f" -o APT::Sandbox::User=root'; $apt update; $apt download {BUSYBOX};"
        f" dpkg-deb -x {BUSYBOX}_*.deb tree; cp tree/bin/busybox tree/usr/bin/busybox . 2>/dev/null || true;"
        " rm -rf lists tree; test -x busybox; chmod 755 busybox"
    )
    try:
        run.logged(tools.argv(["sh", "-c", script]), log=log, step=STEP, env=tools.env())
    except KlabError as error:
        raise mirror.unreachable(log, STEP) or error from None
    return folder / "busybox"


def ensure() -> Path:
    """The base initramfs, made now unless it is in the cache (some seconds)."""
    if place := laid():
        return place / NAME
    from klab.kernel import root  # noqa: PLC0415 - a lab machine's klab does without

    init = digests.of_file(data_file("guest-init.sh"))
    digest = digests.of_data([root.digest(), BUSYBOX, init, digests.of_file(Path(__file__))])
    if entry := store.find(KIND, digest):
        return entry.file(NAME)
    with store.drafting(KIND, digest, wait=True) as draft:
        if entry := store.find(KIND, digest):  # made while we waited
            return entry.file(NAME)
        (draft.path / "get").mkdir()
        busybox = _download(draft.path / "get")
        (draft.path / NAME).write_bytes(_base(busybox))
        for left in (draft.path / "get").iterdir():
            left.unlink()
        (draft.path / "get").rmdir()
        entry = draft.publish({"rebuild": "klab guest run --kernel … -- true"}, [NAME])
    return entry.file(NAME)
