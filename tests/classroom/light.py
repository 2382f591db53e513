#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Light seats: real sshd's in Debian trees of their own, one network for all of them, made in seconds.

A hub (mount, pid and network namespaces of its own) holds a bridge; each seat is a tree over the
image's, with namespaces and an address of its own. Who is in `world` stands on that bridge and
nowhere else. All of it ends with the process that made it, however that ends.

Run: .venv/bin/python tests/classroom/light.py 50 -- COMMAND…
     as root. SEATS in its environment is a JSON file: the key, and name, address, port, user of each.
"""

from __future__ import annotations

import ctypes
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from klab import store
from klab.classroom.model import EXISTING, Class, Seat, Student
from klab.errors import KlabError
from klab.paths import repo_dir
from klab.run import TIED

STEP = "light seats"
DISK_MIB = 64
DEADLINE_S = 120.0
PLACE = "/run/light"  # in the hub, whose /run is its own
SEAT = Path(__file__).with_name("seat.sh")
NEW_NETWORK = 0x40000000  # CLONE_NEWNET, setns(2)
ALONE = ["unshare", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child"]

# Run in a seat. Not stopped are sshd's own, whose sandbox would kill them for going on (and whose
# listener would then refuse us for a minute and more), and what nsenter began, which would stop with it.
SLOW = """
import os, signal, sys, time
share, until = float(sys.argv[1]), time.monotonic() + float(sys.argv[2])
while time.monotonic() < until:
    stopped = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            name, _, rest = open(f"/proc/{pid}/stat").read().partition("(")[2].rpartition(")")
            if int(pid) not in (1, os.getpid()) and rest.split()[1] != "0" and not name.startswith("sshd"):
                os.kill(int(pid), signal.SIGSTOP)
                stopped.append(int(pid))
        except OSError:
            pass
    time.sleep((1 - share) / 2)
    for pid in stopped:
        try:
            os.kill(pid, signal.SIGCONT)
        except OSError:
            pass
    time.sleep(share / 2)
"""


def _run(argv: Sequence[str | Path], text: str = "") -> str:
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False, timeout=DEADLINE_S)
    if done.returncode:
        raise KlabError(
            f"{shlex.join(map(str, argv))[:200]} ended with {done.returncode}: {done.stderr.strip()[-800:]}",
            step=STEP,
            mend="what it says is about this computer: namespaces, overlays and bridges are needed",
        )
    return done.stdout


def tree() -> Path:
    """The disk of the newest image in the cache."""
    found = store.entries("images")
    if not found:
        raise KlabError("there is no image that seats could be made of", step=STEP, mend="make lab")
    return found[0].file("disk.raw")


@dataclass(frozen=True)
class Light:
    """A seat of the world, and what can befall it. number: from 1."""

    number: int
    hub: int
    name: str

    @property
    def address(self) -> str:
        """Its address on the bridge."""
        return f"10.99.{self.number // 250}.{self.number % 250 + 2}"

    @property
    def _disk(self) -> str:
        return f"{PLACE}/seats/{self.number}"

    def _in_hub(self, script: str, *words: str, text: str = "") -> str:
        there = ["nsenter", "-t", str(self.hub), "-m", "-n", "-p", "--"]
        return _run([*there, "sh", "-euc", script, "light", *words], text)

    def start(self) -> None:
        """Power on; its disk is as it was."""
        alone = [f"--net=/run/netns/s{self.number}", *ALONE[1:]]
        words = shlex.join([ALONE[0], *alone[1:], "--", str(SEAT), f"{PLACE}/tree", self._disk, self.name])
        self._in_hub(
            f"nsenter {alone[0]} -- {words} {PLACE}/keys </dev/null >{self._disk}/log 2>&1 &"
            f" echo $! >{self._disk}/pid"
        )

    def stop(self) -> None:
        """Pull the plug."""
        self._in_hub(
            f"pid=$(cat {self._disk}/pid); kill -KILL $pid; while kill -0 $pid 2>&-; do sleep 0.05; done"
        )

    def run(self, script: str, *words: str, text: str = "") -> str:
        """Run a shell script in the seat, as root; its $1… are `words`."""
        enter = f"nsenter -t $(cat /proc/$(cat {self._disk}/pid)/task/*/children) -m -n -p -u -i -r -w -- "
        return self._in_hub(enter + shlex.join(["sh", "-euc", script, "seat", *words]), text=text)

    def kill_ssh(self) -> None:
        """End sshd and all that came in by it; it is begun again at once."""
        self.run("pkill -KILL sshd || true")

    def new_host_key(self) -> None:
        """Another host key, as if another computer stood there."""
        key = "/etc/ssh/ssh_host_ed25519_key"
        self.run(f"rm {key}*; ssh-keygen -q -t ed25519 -N '' -f {key}; pkill -KILL sshd")

    def fill(self) -> None:
        """Leave no room on its disk."""
        self.run("cat /dev/zero >/var/filler 2>&- || true")

    def free(self) -> None:
        """Make room again."""
        self.run("rm -f /var/filler")

    def hold(self, path: str, seconds: float) -> None:
        """Let a process that does nothing hold the lock file `path`."""
        self.run('setsid -f flock "$1" sleep "$2" >&- 2>&-', path, str(seconds))

    def slow(self, share: float, seconds: float) -> None:
        """Give its programs only this share of the time, for some seconds.

        It stands in for netem, which few kernels have.
        """
        self.run('setsid -f python3 -c "$@" </dev/null >/dev/null 2>&1', SLOW, str(share), str(seconds))

    def reboot(self, off_s: float = 0.5) -> None:
        """Pull the plug, and put it back after some seconds."""
        self.stop()
        time.sleep(off_s)
        self.start()

    def wait(self, deadline_s: float = 30.0) -> None:
        """Wait until sshd listens."""
        until = time.monotonic() + deadline_s
        while not self._in_hub(f"ss -Htln -N s{self.number} sport = :22"):
            if time.monotonic() > until:
                raise KlabError(f"{self.name} does not listen: {self.log()}", step=STEP, machine=self.name)
            time.sleep(0.05)

    def log(self) -> str:
        """What its start complained of."""
        return self._in_hub(f"cat {self._disk}/log")


def _network(count: int) -> str:
    """ip's orders for the bridge and a leg of it for each seat."""
    lines = ["link set lo up", "link add br0 type bridge", "addr add 10.99.0.1/16 dev br0", "link set br0 up"]
    for n in range(1, count + 1):
        lines += [f"netns add s{n}", f"link add v{n} type veth peer name eth0 netns s{n}"]
        lines += [f"link set v{n} master br0 up"]
    return "\n".join(lines) + "\n"


def _hub() -> subprocess.Popen[bytes]:
    """The namespaces that hold it all; the process's child is their first."""
    # bash takes in whose parents are gone; the loop is there to be interrupted by that.
    idle = "mount --make-rprivate /; mount -t tmpfs run /run; echo; while :; do sleep 3600 & wait $!; done"
    alone = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    hub = subprocess.Popen(
        [*TIED, *alone, "bash", "-c", idle], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    if hub.stdout is None or hub.stdout.readline() != b"\n":
        raise KlabError(
            "the hub of the seats did not start", step=STEP, mend="unshare --net --mount --pid true"
        )
    return hub


def _enter(network: int) -> None:
    """Stand in another network; threads and programs that are started from now on do, too."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(network, NEW_NETWORK):
        raise OSError(ctypes.get_errno(), "setns")


@contextmanager
def world(
    count: int, key: Path, *, name: str = "light", disk_mib: int = DISK_MIB, disk: Path | None = None
) -> Iterator[list[Light]]:
    """So many seats that answer ssh, for user student with the private key beside the public `key`.

    This thread stands on their bridge meanwhile, and only there. disk_mib: room on each disk. disk: of
    an image, or a folder with a tree, else that of the newest image.
    Raises KlabError without root, and without an image.
    """
    if os.geteuid():
        raise KlabError("light seats need root: loop devices and networks", step=STEP, mend="run it as root")
    disk = disk or tree()
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    hub = _hub()
    inner = 0
    try:
        inner = int(Path(f"/proc/{hub.pid}/task/{hub.pid}/children").read_text())
        seats = [Light(n, inner, f"{name}-s{n:02}") for n in range(1, count + 1)]
        there = ["nsenter", "-t", str(inner), "-m", "-n", "-p", "--"]
        make = f"""mkdir -p {PLACE}/tree {PLACE}/seats /run/netns; cat >{PLACE}/keys
if [ -d "$1" ]; then mount --bind "$1" {PLACE}/tree; else mount -o loop,ro,noload "$1" {PLACE}/tree; fi
for n in $(seq "$2"); do d={PLACE}/seats/$n; mkdir $d; mount -t tmpfs -o size="$3"m disk $d; done"""
        _run([*there, "sh", "-euc", make, "hub", disk, str(count), str(disk_mib)], key.read_text())
        _run([*there, "ip", "-batch", "-"], _network(count))
        for seat in seats:
            orders = f"link set lo up\naddr add {seat.address}/16 dev eth0\nlink set eth0 up\n"
            _run([*there, "ip", "-n", f"s{seat.number}", "-batch", "-"], orders)
            seat.start()
        for seat in seats:
            seat.wait()
        network = os.open(f"/proc/{inner}/ns/net", os.O_RDONLY)
        _enter(network)
        os.close(network)
        try:
            yield seats
        finally:
            _enter(home)
    finally:
        os.close(home)
        hub.kill()
        hub.wait()
        until = time.monotonic() + DEADLINE_S
        while inner and Path(f"/proc/{inner}").exists() and time.monotonic() < until:
            time.sleep(0.02)


def course(seats: Sequence[Light], name: str = "light", labs: tuple[str, ...] = ("all",)) -> Class:
    """The class whose seats these are: computers that are there already."""
    made = tuple(
        Seat(
            seat.name,
            Student(f"student{seat.number:02}", f"Student {seat.number}", (), f"s{seat.number:02}"),
            EXISTING,
            address=seat.address,
            port=22,
        )
        for seat in seats
    )
    return Class(name, Path("/nowhere"), (), tuple(s.student for s in made), made, labs, "lab", 0, 0)


def define(folder: Path, seats: Sequence[Light], labs: str = "all") -> Path:
    """A definition and a roster for these seats. labs: a selection word."""
    folder.mkdir()
    shutil.copytree(repo_dir() / "inventories/classroom/group_vars", folder / "group_vars")
    existing = "".join(f"  s{s.number:02}: {{address: {s.address}, user: student}}\n" for s in seats)
    (folder / "klab.yml").write_text(
        f"plugin: klab\nclass: light\nroster: roster.csv\nlabs: [{labs}]\nexisting:\n{existing}"
    )
    lines = [f"student{s.number:02},Student {s.number},,s{s.number:02},g{s.number % 2},\n" for s in seats]
    (folder / "roster.csv").write_text("login,name,key,seat,group,path\n" + "".join(lines))
    return folder


def main() -> None:
    """Run a command in a world of so many seats; its exit status is ours."""
    count, _, *argv = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="klab-light-") as folder:
        key, listed = Path(folder) / "key", Path(folder) / "seats.json"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        with world(int(count), key.with_suffix(".pub")) as seats:
            each = [{"name": s.name, "address": s.address, "port": 22, "user": "student"} for s in seats]
            listed.write_text(json.dumps({"key": str(key), "seats": each}))
            env = {**os.environ, "SEATS": str(listed)}
            sys.exit(subprocess.run(argv, env=env, check=False).returncode)


if __name__ == "__main__":
    main()
