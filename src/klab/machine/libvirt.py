# SPDX-License-Identifier: GPL-3.0-or-later
"""Provider libvirt: the daemon runs the machine's QEMU, and whoever administers the host sees it there.

The domain that libvirt keeps boots by itself, by `virsh start` or with the host. To go on from a
ready point it is created anew each time, with words that are forgotten when it ends. All else is
as with a QEMU of klab's own: the same folder, monitor, snapshot of `reset`, and process.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from klab.errors import KlabError
from klab.machine import console, domain, process
from klab.machine.model import LIBVIRT, Machine, everyone

SYSTEM, SESSION = "qemu:///system", "qemu:///session"
STEP = "vm: libvirt"
PATIENCE_S = 180.0  # a memory that is saved on a slow disk is the long case
INSTALL = "apt-get install --no-install-recommends libvirt-daemon-system libvirt-clients"
# What can be limited, the most first, and how virsh says that it cannot.
LIMITS = ("memory, cpus", "cpus", "none")
UNLIMITED = re.compile(r"cgroup|locked memory|session mode", re.IGNORECASE)
NO_GROUPS = "a user's own daemon has no control groups"
GONE = re.compile(r"failed to get domain|domain is not running|no domain with matching")
MENDS = {
    r"virtlogd": 'systemctl start virtlogd.socket; or, without systemd, stdio_handler = "file" in libvirt\'s '
    "qemu.conf",
    r"libvirt-sock|virtqemud-sock": f"systemctl start libvirtd; where there is none: {INSTALL}",
    r"authentication|polkit|[Pp]ermission denied": "add the user whom klab runs as to group libvirt, "
    "and log in anew",
    r"machine type|Cannot find QEMU|does not support": "this host has another QEMU than the template was "
    "made with: klab vm destroy --name TEMPLATE --yes, then open the class again",
    r"already exists with uuid": "another klab of this host has a machine of that name: name the class "
    "otherwise, or remove what is left: virsh undefine DOMAIN",
}


def default_uri() -> str:
    """Where virsh itself would look: root has no session of its own."""
    return SYSTEM if os.getuid() == 0 else SESSION


def _system(machine: Machine) -> bool:
    """Whether it is the host's daemon, which is root's session, too."""
    return machine.uri == SYSTEM or os.getuid() == 0


def virsh(uri: str, *words: str, machine: Machine | None = None, gone: bool = False) -> str:
    """What virsh says to a command. gone: it may be that there is no such domain, or that it is off.

    Raises KlabError with what to do where that is known.
    """
    argv = ["virsh", "--quiet", "-c", uri, *words]
    name = machine.name if machine else ""
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
        )
    except FileNotFoundError:
        raise KlabError("virsh is not installed", step=STEP, machine=name, mend=INSTALL) from None
    except subprocess.TimeoutExpired:
        raise KlabError(
            f"`virsh {words[0]}` did not end within {PATIENCE_S:g} s",
            step=STEP,
            machine=name,
            mend=f"look at the daemon: virsh -c {uri} list --all",
        ) from None
    if done.returncode == 0 or (gone and GONE.search(done.stderr)):
        return done.stdout
    said = "\n".join(line.removeprefix("error: ") for line in done.stderr.splitlines() if line.strip())
    mend = next((mend for sign, mend in MENDS.items() if re.search(sign, said)), "")
    raise KlabError(
        f"virsh {words[0]}: {said}",
        step=STEP,
        machine=name,
        mend=mend or f"virsh -c {uri} {words[0]} tells the same; the daemon's log may tell more",
    )


def check(uri: str, accelerator: str) -> str:
    """The versions of a daemon that answers and can run our QEMU. Raises KlabError otherwise."""
    said = virsh(uri, "version")
    words = ["--virttype", domain.KIND[accelerator], "--emulatorbin", domain.emulator()]
    virsh(uri, "domcapabilities", *words)
    found = dict(re.findall(r"^(Using library|Running hypervisor): (.+)$", said, re.MULTILINE))
    return ", ".join(found.values())


def _confined_by(machine: Machine) -> str:
    """The host's security model that knows a domain's files by its XML alone, or "" where there is none.

    `virsh capabilities` tells it, too, but asks each QEMU of the host first.
    """
    said = virsh(machine.uri, "dominfo", domain.name(machine), machine=machine)
    found = re.search(r"^Security model: +(\S+)", said, re.MULTILINE)
    return "" if found is None or found[1] in ("none", "dac") else found[1]


def _neighbour(machine: Machine) -> Machine | None:
    """Another machine of that daemon, which knows what can be limited: to find out takes seconds."""
    others = (one for one in everyone() if one.provider == LIBVIRT and one.uri == machine.uri)
    return next((one for one in others if one.limits), None)


def launch(machine: Machine, turn: str, kernel: Mapping[str, str]) -> None:
    """Start the machine's domain with that kernel; for RESET, its QEMU waits to be told of its ready point.

    The domain that boots by itself has the machine's own kernel. Raises KlabError.
    """
    off(machine)
    if turn != console.RESUME:
        virsh(machine.uri, "managedsave-remove", domain.name(machine), machine=machine, gone=True)
    level, why = ("", "") if _system(machine) else ("none", NO_GROUPS)
    if known := machine if machine.limits else _neighbour(machine):
        level, why = known.limits, known.unlimited
    levels = LIMITS[LIMITS.index(level) :] if level else LIMITS
    for level in levels:
        try:
            _start(machine, turn, kernel, level)
        except KlabError as error:
            if level == levels[-1] or not UNLIMITED.search(error.what):
                raise
            why = error.what.splitlines()[-1]
            continue
        break
    virsh(machine.uri, "autostart", domain.name(machine), machine=machine)
    if machine.limits != level:
        machine.limits, machine.unlimited = level, why
        machine.save()


def _start(machine: Machine, turn: str, kernel: Mapping[str, str], limits: str) -> None:
    owner = domain.ourselves() if _system(machine) else ""
    unconfined = ""

    def described(file: str, which: Machine, *, incoming: bool = False) -> str:
        text = domain.xml(which, limits=limits, owner=owner, unconfined=unconfined, incoming=incoming)
        machine.file(file).write_text(text)
        return str(machine.file(file))

    virsh(machine.uri, "define", described("domain.xml", machine), machine=machine)
    if owner and (unconfined := _confined_by(machine)):
        virsh(machine.uri, "define", described("domain.xml", machine), machine=machine)
    now = replace(machine, kernel=dict(kernel))
    if turn == console.RESET or now.kernel != machine.kernel:
        once = described("domain-once.xml", now, incoming=turn == console.RESET)
        virsh(machine.uri, "create", once, machine=machine)
    else:
        virsh(machine.uri, "start", domain.name(machine), machine=machine)


def off(machine: Machine) -> None:
    """End the machine's QEMU as a power failure would, and wait for libvirt to see it. Raises KlabError."""
    virsh(machine.uri, "destroy", domain.name(machine), machine=machine, gone=True)


def stay_off(machine: Machine) -> None:
    """Let it be off when the host comes up again. Raises KlabError."""
    virsh(machine.uri, "autostart", "--disable", domain.name(machine), machine=machine, gone=True)


def save(machine: Machine) -> None:
    """Turn the machine off with all that runs in it, which libvirt keeps. Raises KlabError."""
    virsh(machine.uri, "managedsave", domain.name(machine), machine=machine)


def saved(machine: Machine) -> bool:
    """Whether libvirt keeps what runs in it, as it does when the host goes down."""
    listed = virsh(machine.uri, "list", "--all", "--name", "--with-managed-save", machine=machine)
    return domain.name(machine) in listed.split()


def remove(machine: Machine) -> None:
    """Leave nothing of the domain. Raises KlabError."""
    off(machine)
    words = ["--managed-save", "--snapshots-metadata"]
    virsh(machine.uri, "undefine", domain.name(machine), *words, machine=machine, gone=True)


def notes(machine: Machine) -> list[str]:
    """What a machine lacks here that one of klab's own has, or that libvirt can give elsewhere."""
    found = []
    if machine.unlimited:
        found.append(f"limited by libvirt: {machine.limits} ({machine.unlimited})")
    if (pid := process.pid_of(machine)) and re.search(
        r"^Seccomp:\s+2", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE
    ):
        found.append(
            "its student's `klab` is not answered: QEMU may start no program;"
            " seccomp_sandbox = 0 in libvirt's qemu.conf lets it"
        )
    return found
