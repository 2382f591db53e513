# SPDX-License-Identifier: GPL-3.0-or-later
"""A daemon of libvirt's without systemd, and without touching the host's own.

It lives in a mount namespace, with all its files in one folder. Needs root, and the packages
libvirt-daemon and libvirt-clients.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from klab.paths import repo_dir

STARTS_S = 60
ENDS_S = 20
PLACES = {
    "etc": "/etc/libvirt",
    "lib": "/var/lib/libvirt",
    "run": "/run/libvirt",
    "cache": "/var/cache/libvirt",
}
# root: where /dev/kvm is not QEMU's user's, libvirt asks QEMU what it can again and again. The
# sandbox: as docs/guide/instructor.md tells a teacher whose students have `klab`.
CONFIG = 'user = "root"\ngroup = "root"\nstdio_handler = "file"\nseccomp_sandbox = 0\n'
ACCOUNT = "libvirt-qemu:x:64055:{}\n"  # Debian's libvirt-daemon-system makes it
CGROUPS = Path("/sys/fs/cgroup")


class Daemon:
    """A daemon that can be ended and started. folder: of its files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.others = set(CGROUPS.glob("*/machine"))
        for name, path in PLACES.items():
            (folder / name).mkdir()
            Path(path).mkdir(parents=True, exist_ok=True)
        (folder / "etc/qemu.conf").write_text(CONFIG)
        for name, rest in (("passwd", "64055::/var/lib/libvirt:/usr/sbin/nologin"), ("group", "")):
            text = Path(f"/etc/{name}").read_text()
            (folder / name).write_text(text if "\nlibvirt-qemu:" in text else text + ACCOUNT.format(rest))

    @property
    def inside(self) -> list[str]:
        """Words before a command that is to reach it."""
        pid = (self.folder / "pid").read_text().strip()
        return ["nsenter", f"--mount=/proc/{pid}/ns/mnt", f"--wd={repo_dir()}"]

    def virsh(self, *words: str) -> str:
        """What virsh says."""
        argv = [*self.inside, "virsh", "--quiet", "-c", "qemu:///system", *words]
        return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=STARTS_S).stdout

    def start(self) -> None:
        """Start it, and wait until it answers."""
        mounts = [(self.folder / name, path) for name, path in PLACES.items()]
        mounts += [(self.folder / name, f"/etc/{name}") for name in ("passwd", "group")]
        lines = [f"mount --bind {ours} {path}" for ours, path in mounts]
        script = "\n".join(["set -e", *lines, f"exec libvirtd -p {self.folder / 'pid'}"])
        with (self.folder / "log").open("a") as log:
            process = subprocess.Popen(["unshare", "--mount", "bash", "-c", script], stdout=log, stderr=log)
        deadline = time.monotonic() + STARTS_S
        while True:
            with suppress(OSError, subprocess.SubprocessError):
                self.virsh("version")
                return
            assert process.poll() is None, (self.folder / "log").read_text()[-2000:]
            assert time.monotonic() < deadline, (self.folder / "log").read_text()[-2000:]
            time.sleep(0.1)

    def end(self) -> None:
        """End it; its machines run on."""
        with suppress(OSError):
            end(int((self.folder / "pid").read_text()))
        (self.folder / "pid").unlink(missing_ok=True)

    def reboot(self) -> None:
        """What a host's restart does to it."""
        self.end()
        shutil.rmtree(self.folder / "run")
        (self.folder / "run").mkdir()
        self.clear()
        self.start()

    def clear(self) -> None:
        """Remove its control groups, which a kill leaves."""
        for group in set(CGROUPS.glob("*/machine")) - self.others:
            for path in [*sorted(group.rglob("*"), reverse=True), group]:
                if path.is_dir():
                    path.rmdir()


def end(pid: int) -> None:
    """End a daemon by its process, and wait for that."""
    deadline = time.monotonic() + ENDS_S
    os.kill(pid, signal.SIGTERM)
    while Path(f"/proc/{pid}/exe").exists():  # which a process that nobody waits for has not
        if time.monotonic() > deadline:  # one that asks QEMU something does not hear
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


@contextmanager
def running(folder: Path) -> Iterator[Daemon]:
    """A daemon, which is ended afterwards. folder: a new one."""
    daemon = Daemon(folder)
    try:
        daemon.start()
        yield daemon
    finally:
        daemon.end()
        daemon.clear()
