# SPDX-License-Identifier: GPL-3.0-or-later
"""Can this host do what the run needs? Each answer with what was seen and a mend.

Tools are run, not looked for; disk, memory and network are measured against what is
still missing (klab.needs); the accelerator is asked by booting a guest.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

from klab import accel, mirror, needs
from klab.debuggee import proved
from klab.errors import KlabError
from klab.kernel import flavour as flavours
from klab.machine import model, ports, process
from klab.paths import data_file, repo_dir

GOOD, NOTE, BAD = "ok", "note", "bad"
ANSIBLE = (2, 19)
PROVE_S = 30.0  # seconds for one tool to answer
REACH_S = 15.0  # seconds for the archive to answer


@dataclass(frozen=True)
class Check:
    """One line of the report: what was looked at, the verdict, what was seen, what to do."""

    name: str
    status: str
    seen: str
    mend: str = ""


@dataclass(frozen=True)
class Run:
    """The run that is asked for. Memory in MiB; ssh_port 0: any free one."""

    stages: tuple[str, ...] = needs.STAGES
    flavour: str = "lab"
    machine: str = "lab1"
    memory: int = 2048
    ssh_port: int = 0


def _host() -> dict[str, Any]:
    return dict(json.loads(data_file("host.json").read_text()))


def _says(argv: list[str]) -> tuple[bool, str]:
    """Whether a command ends with status 0, and the first line that it says."""
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PROVE_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return False, str(error)
    return done.returncode == 0, ((done.stdout or done.stderr).strip().splitlines() or [""])[0]


def python() -> Check:
    """The Python that runs klab."""
    wanted = tuple(_host()["python"])
    good = sys.version_info >= wanted
    need = ".".join(map(str, wanted))
    return Check(
        "python",
        GOOD if good else BAD,
        platform.python_version(),
        "" if good else f"make PYTHON=python{need}",
    )


def ansible() -> Check:
    """The ansible-core beside this klab."""
    try:
        version = metadata.version("ansible-core")
    except metadata.PackageNotFoundError:
        return Check("ansible-core", BAD, "not installed", "make bootstrap")
    good = tuple(int(part) for part in version.split(".")[:2]) >= ANSIBLE
    return Check("ansible-core", GOOD if good else BAD, version, "" if good else "make bootstrap")


def tool(entry: dict[str, Any]) -> Check:
    """One tool of data/host.json: it is run."""
    good, said = _says([word.replace("{python}", sys.executable) for word in entry["prove"]])
    mend = f"apt-get install {entry['package']}  ({entry['why']})"
    return Check(
        entry["package"], GOOD if good else BAD, said or "answers" if good else said, "" if good else mend
    )


def user_ids() -> Check | None:
    """An unprivileged user's right to the ids of a whole Debian tree; None for root."""
    if os.geteuid() == 0:
        return None
    good, said = _says(["unshare", "--map-root-user", "--map-auto", "--mount", "true"])
    who = os.environ.get("USER", str(os.getuid()))
    return Check(
        "user namespaces",
        GOOD if good else BAD,
        "a range of user ids is ours" if good else said,
        ""
        if good
        else f"usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {who};"
        " sysctl kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0",
    )


def _suite() -> str:
    return str(yaml.safe_load((repo_dir() / "labs/_kernels/toolchain.yml").read_text())["suite"])


def keyring() -> Check:
    """The keys that sign the suite we build from; an older host may not have them."""
    suite = _suite()
    mark = f"/{suite})".encode()  # as the key's user id ends: Debian … Signing Key (13/trixie)
    for path in mirror.KEYRINGS:
        if path.exists() and mark in path.read_bytes():
            return Check("archive keys", GOOD, f"{path} knows {suite}")
    return Check(
        "archive keys",
        BAD,
        f"no key of {suite} in {' or '.join(map(str, mirror.KEYRINGS))}",
        "apt-get update && apt-get install debian-archive-keyring, of a release that knows it",
    )


def disk(wanted: needs.Needs) -> Iterator[Check]:
    """Room on each file system that the run writes to."""
    for folder, gib in needs.by_filesystem(wanted.disk_gib).items():
        free = needs.free_gib(folder)
        good = free >= gib
        mend = f"free {gib - free:.1f} GiB: klab cache prune; or move it with KLAB_CACHE, KLAB_STATE"
        seen = f"{folder}: {free:.1f} GiB free, {gib:.1f} needed"
        yield Check("disk", GOOD if good else BAD, seen, "" if good else mend)


def memory(wanted: needs.Needs) -> Check:
    """Memory that is available now."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    free = int(fields["MemAvailable"].split()[0]) // 1024
    good = free >= wanted.memory_mib
    mend = "end other programs, or ask for a smaller machine (vm_memory)"
    return Check(
        "memory", GOOD if good else BAD, f"{free} MiB free, {wanted.memory_mib} needed", "" if good else mend
    )


def ssh_port(run: Run) -> Check | None:
    """The port that was asked for by number; None when any will do or the machine holds it."""
    known = model.find(run.machine)
    if not run.ssh_port or (known and process.pid_of(known) and known.ssh_port == run.ssh_port):
        return None
    if ports.free(run.ssh_port):
        return Check("ssh port", GOOD, f"{run.ssh_port} is free")
    seen = f"{run.ssh_port} is held by {ports.holder(run.ssh_port)}"
    return Check("ssh port", BAD, seen, "end that process, or choose another port (vm_ssh_port)")


def archive(wanted: needs.Needs) -> Check | None:
    """The Debian archive answers; None when nothing must be downloaded."""
    if not wanted.network:
        return None
    suite = _suite()
    lines = mirror.debian(suite)
    if not lines:
        return Check("archive", NOTE, "not set in the host's apt: mmdebstrap's own default is used")
    uri = next(word for word in lines[0].split() if "://" in word)
    target = f"{uri}/dists/{suite}/InRelease"
    error = _fetch(target)
    mend = "check the network and apt-get update, or name another archive: KLAB_DEBIAN_MIRROR=URI"
    return Check("archive", BAD if error else GOOD, f"{target}: {error or 'answers'}", mend if error else "")


def _fetch(uri: str) -> str:
    """Why a URI cannot be fetched; nothing when it can. By apt, so with the host's proxy."""
    helper = "/usr/lib/apt/apt-helper"
    with tempfile.TemporaryDirectory(prefix="klab-reach-") as folder:
        options = [f"-oAcquire::{kind}::Timeout={REACH_S:.0f}" for kind in ("http", "https")]
        if Path(helper).exists():
            argv = [helper, "-oAcquire::Retries=0", *options, "download-file", uri, f"{folder}/out"]
            good, said = _says(argv)
            return "" if good else said or "apt cannot fetch it"
        try:
            with urllib.request.urlopen(uri, timeout=REACH_S):  # noqa: S310 - the host's own apt names it
                return ""
        except (OSError, ValueError) as error:
            return str(error)


def accelerator(*, fresh: bool) -> tuple[Check, accel.Verdict | None]:
    """What runs guests here, found out by running one."""
    try:
        verdict = accel.probe(fresh=fresh)
    except KlabError as error:
        return Check("accelerator", BAD, error.what, error.mend), None
    when = "known" if verdict.cached else f"asked in {verdict.seconds:.1f} s"
    status = GOOD if verdict.accel == "kvm" else NOTE
    mend = "" if verdict.accel == "kvm" else "works, about ten times slower than KVM"
    return Check("accelerator", status, f"{verdict.accel}: {verdict.reason} ({when})", mend), verdict


def plan(run: Run) -> tuple[Check, needs.Needs]:
    """What the run will have to make; a catalogue that is not valid shows here."""
    try:
        wanted = needs.of(run.stages, run.flavour, run.machine, run.memory)
    except KlabError as error:
        return Check("catalogue", BAD, error.what, error.mend), needs.Needs()
    todo = ", ".join(wanted.make) or "nothing, all is there"
    return Check("catalogue", GOOD, f"flavour {run.flavour} is valid; to make: {todo}"), wanted


def dump_tools(run: Run) -> Check | None:
    """Whether dumps of the flavour's kernel were ever read with these tools; None for an unknown flavour."""
    try:
        flavour = flavours.load(run.flavour)
    except KlabError:
        return None  # `plan` says so
    release = flavour.source.release if isinstance(flavour, flavours.Built) else flavour.packages.version
    doubts = proved.unproved(release)
    if not doubts:
        return Check("dump tools", GOOD, f"dumps of kernel {release} are read by the crash and drgn of ours")
    mend = "they may work; pytest tests/guests/test_dumps.py tries (docs/adr/0017-dumps.md)"
    return Check("dump tools", NOTE, "; ".join(doubts), mend)


def examine(run: Run, *, fresh: bool = False) -> tuple[list[Check], accel.Verdict | None]:
    """All checks for a run, in the order they are shown, and the accelerator's verdict.

    fresh: boot the accelerator's test guest even where the answer is known.
    """
    catalogue, wanted = plan(run)
    quick: list[Callable[[], Check | None]] = [
        python,
        ansible,
        *[lambda entry=entry: tool(entry) for entry in _host()["tools"]],
        user_ids,
        keyring,
        lambda: catalogue,
        lambda: dump_tools(run),
    ]
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(lambda check: check(), quick))
    found += [*disk(wanted), memory(wanted), ssh_port(run), archive(wanted)]
    last, verdict = accelerator(fresh=fresh)
    return [check for check in [*found, last] if check], verdict
