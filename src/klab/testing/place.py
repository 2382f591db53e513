# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a lab runs, asked once: the lab machine, or a guest of the lab's kernel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from klab import catalogue
from klab.errors import KlabError
from klab.testing.guests import Guests

if TYPE_CHECKING:
    from klab.testing.machines import Machine

DEADLINE_S = 240
# How the kernel shows the devices that lab.yml can name: a line for each of them. One that
# was lost when a guest went on has no base address.
DEVICES = {"edu": "1234:11e8", "numa": "node", "net": "1af4:1000", "erst": "1b36:0012", "wdt": "8086:25ab"}
MARK = "== klab "
# What a program answers to --version does not matter, only that it can be run.
SCRIPT = """
echo '== klab version'; uname -v
echo '== klab cmdline'; cat /proc/cmdline
echo '== klab cpus'; grep -c ^processor /proc/cpuinfo
echo '== klab memory'; grep MemTotal /proc/meminfo
echo '== klab devices'
for d in /sys/bus/pci/devices/*; do
  [ $(od -An -tu4 -j16 -N4 $d/config) != 0 ] && echo $(cat $d/vendor):$(cat $d/device)
done
for d in /sys/devices/system/node/node[0-9]*; do echo node; done
echo '== klab tools'; PATH=$PATH:/usr/sbin:/sbin
for t in {tools}; do timeout 20 $t --version </dev/null >/dev/null 2>&1; s=$?
  [ $s = 126 ] || [ $s = 127 ] || echo $t; done
echo '== klab config'; [ ! -e /proc/config.gz ] || zcat /proc/config.gz
"""


@dataclass(frozen=True)
class Place:
    """What was seen there. memory in MiB; config is empty where the kernel does not show it."""

    name: str
    version: str
    cmdline: str
    cpus: int
    memory: int
    devices: tuple[str, ...]
    tools: frozenset[str]
    config: str

    def has(self, device: str) -> bool:
        """Whether a device of lab.yml is there: `edu2` are two of `edu`."""
        name = device.rstrip("0123456789")
        if name not in DEVICES:
            raise KlabError(
                f"klab cannot tell whether the device {device} is there",
                step="proof: environment",
                mend="say how in klab/testing/place.py",
            )
        return self.devices.count(DEVICES[name]) >= int(device[len(name) :] or 1)


def of(said: str, name: str) -> Place:
    """What SCRIPT printed, as data."""
    parts: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in said.splitlines():
        if line.startswith(MARK):
            lines = parts.setdefault(line.removeprefix(MARK), [])
        else:
            lines.append(line)
    missing = {"version", "cmdline", "cpus", "memory", "devices", "tools", "config"} - set(parts)
    if missing:
        raise KlabError(
            f"{name} did not answer all that it was asked: {', '.join(sorted(missing))}",
            step="proof: environment",
            mend="start the check again",
        )
    return Place(
        name=name,
        version=parts["version"][0],
        cmdline=parts["cmdline"][0],
        cpus=int(parts["cpus"][0]),
        memory=int(parts["memory"][0].split()[1]) // 1024,
        devices=tuple(line.replace("0x", "") for line in parts["devices"]),
        tools=frozenset(parts["tools"]),
        config="\n".join(parts["config"]),
    )


def of_machine(machine: Machine, spec: catalogue.Lab) -> Place:
    """The lab machine."""
    script = SCRIPT.format(tools=" ".join(spec.needs.tools))
    return of(machine.output(script, root=True, deadline_s=DEADLINE_S), machine.name)


def of_guest(guest: Guests, spec: catalogue.Lab) -> Place:
    """A guest of the lab's kernel; with Debian's files where the lab needs tools."""
    script = SCRIPT.format(tools=" ".join(spec.needs.tools))
    ran = guest(script, base="debian" if spec.needs.tools else "tiny", deadline_s=DEADLINE_S)
    return of(ran.output.decode(errors="replace"), "a guest")
