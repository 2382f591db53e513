# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes one of many machines that woke up from the same moment: name, keys, ids, randomness.

A machine that boots is told by systemd's credentials (keys.py). One that goes on from another's
ready point has booted already: it gets the same by a script through the port that wakes it up.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from klab.machine import keys
from klab.machine.model import Machine

SEED = 64  # bytes that the kernel's random numbers begin with
ED25519 = "/etc/ssh/ssh_host_ed25519_key"
# RNDRESEEDCRNG of random(4): what was written counts at once. perl is what a minimal Debian has.
RESEED = (
    """perl -e 'open(R, "+<", "/dev/urandom") && syswrite(R, pack("H*", shift)) && ioctl(R, 0x5207, 0)'"""
)


def mac(machine: Machine) -> str:
    """The address of its network device, from its uuid; the prefix is QEMU's own."""
    return ":".join(["52", "54", "00", *(machine.uuid.replace("-", "")[n : n + 2] for n in (0, 2, 4))])


def machine_id(machine: Machine) -> str:
    """Its machine-id(5)."""
    return machine.uuid.replace("-", "")


def _write(path: str, content: str) -> str:
    return f"printf %s {shlex.quote(content)} >{path}"


def script(machine: Machine) -> str:
    """bash, run there by root. It returns when sshd has taken the new key."""
    host = machine.file(keys.HOST)
    home = f"/home/{keys.ACCOUNT}/.ssh"
    # What the shell does by itself costs nothing; each program, an emulated machine's tenth of a second.
    lines = [
        _write("/etc/hostname", f"{machine.name}\n"),
        _write("/proc/sys/kernel/hostname", machine.name),
        _write("/etc/machine-id", f"{machine_id(machine)}\n"),
        _write(ED25519, host.read_text()),
        _write(f"{ED25519}.pub", Path(f"{host}.pub").read_text()),
        _write(f"{home}/authorized_keys", keys.authorized(machine)),
        # QEMU's network goes on sending to the old address unless it hears of the new one.
        _write("/proc/sys/net/ipv4/conf/eth0/arp_notify", "1"),
        f"ip link set dev eth0 address {mac(machine)}",
        f"{RESEED} {os.urandom(SEED).hex()}",
        _write("/var/lib/systemd/random-seed", os.urandom(SEED).hex()),
        "systemctl restart ssh",
    ]
    return "\n".join(lines) + "\n"
