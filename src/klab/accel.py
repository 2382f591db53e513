# SPDX-License-Identifier: GPL-3.0-or-later
"""Which accelerator runs guests here: asked by booting one, never by looking.

`/dev/kvm` may open and even create a machine on hosts where no guest gets past its
first emulated instruction. So the probe (data/probe.S) is booted under a deadline
with the very CPU model that lab machines get, and only its marker counts.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from klab import digest as digests
from klab.errors import KlabError
from klab.paths import cache_dir, data_file, laid

QEMU = "qemu-system-x86_64"
KVM_NODE = Path("/dev/kvm")
DEADLINE_S = 4.0  # a guest that runs needs 0.2 s; an unlucky, loaded host ten times that
PASSED = 0x10 * 2 + 1  # probe.S writes 0x10; isa-debug-exit makes this of it
MARKER = "klab-probe passed"
STAGES = {  # what probe.S prints, and what the guest had reached by then
    "P": "32-bit protected mode",
    "L": "long mode",
    "S": "SSE",
    "B": "BMI2",
    "T": "timer interrupts",
}
# QEMU says this and keeps the guest paused: no need to sit out the deadline
GIVEN_UP = "KVM internal error"

# The CPU model of every guest, per accelerator. Under TCG 5-level paging only makes
# each page walk longer, and no lab needs more than 128 TiB; and `rep stosb`, with which a kernel
# clears pages where erms is said, stores byte by byte: a program is begun a sixth faster without.
CPU = {"kvm": "host", "tcg": "max,la57=off,erms=off"}


@dataclass(frozen=True)
class Verdict:
    """The accelerator to use, why, and how long asking took (seconds)."""

    accel: str
    reason: str
    seconds: float
    cached: bool = False


@dataclass(frozen=True)
class Attempt:
    """One boot of the probe: did the marker come, and if not, what was seen."""

    passed: bool
    reason: str


def _reached(serial: str) -> str:
    letters = serial.strip().split("\n")[-1] if serial.strip() else ""
    known = [STAGES[letter] for letter in letters if letter in STAGES]
    return f"the guest got as far as {known[-1]}" if known else "the guest printed nothing"


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def boot(argv: Sequence[str], deadline_s: float = 0) -> Attempt:
    """Boot the probe with `argv` before its options; never takes longer than the deadline (DEADLINE_S)."""
    deadline_s = deadline_s or DEADLINE_S * patience()
    with tempfile.TemporaryDirectory(prefix="klab-probe-") as folder:
        serial, errors = Path(folder, "serial"), Path(folder, "stderr")
        words = [*argv, "-nodefaults", "-no-user-config", "-display", "none", "-m", "64", "-no-reboot"]
        words += ["-serial", f"file:{serial}", "-device", "isa-debug-exit,iobase=0xf4,iosize=4"]
        words += ["-kernel", str(data_file("probe.bin"))]
        started = time.monotonic()
        with errors.open("wb") as stream:
            try:
                process = subprocess.Popen(
                    words, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True
                )
            except OSError as error:
                return Attempt(False, f"{words[0]} cannot be run ({error.strerror})")
            given_up = False
            try:
                while process.poll() is None and time.monotonic() - started < deadline_s and not given_up:
                    time.sleep(0.02)
                    given_up = GIVEN_UP in errors.read_text(errors="replace")
                code = process.poll()
            finally:
                _end(process)
        said = serial.read_text(errors="replace") if serial.exists() else ""
        complaint = errors.read_text(errors="replace").strip()
    if code == PASSED and MARKER in said:
        return Attempt(True, f"a test guest passed in {time.monotonic() - started:.1f} s")
    if given_up:
        return Attempt(False, f"{GIVEN_UP}: {_reached(said)}")
    if code is None:
        return Attempt(False, f"guest did not reach its marker in {deadline_s:g} s: {_reached(said)}")
    if complaint:
        return Attempt(False, f"QEMU gave up: {complaint.splitlines()[0].removeprefix(f'{words[0]}: ')}")
    return Attempt(False, f"the guest crashed (status {code}): {_reached(said)}")


def _fingerprint() -> str:
    """The host as far as the verdict depends on it; another host asks anew."""
    cpu = next(
        (line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), ""
    )
    try:
        info = KVM_NODE.stat()
        node = [info.st_ino, info.st_rdev, info.st_mode, info.st_uid, info.st_gid]
    except OSError:
        node = []
    may = [os.access(KVM_NODE, os.R_OK | os.W_OK), os.getuid()]
    binary = Path(shutil.which(QEMU) or QEMU)
    qemu = [str(binary), binary.stat().st_size, binary.stat().st_mtime_ns] if binary.exists() else []
    probe = digests.of_file(data_file("probe.bin"))
    return digests.of_data([cpu, platform.release(), platform.version(), node, may, qemu, probe, CPU])


def _ask() -> Verdict:
    started = time.monotonic()

    def verdict(accel: str, reason: str) -> Verdict:
        return Verdict(accel, reason, round(time.monotonic() - started, 2))

    if not KVM_NODE.exists():
        why = f"{KVM_NODE} does not exist"
    elif not os.access(KVM_NODE, os.R_OK | os.W_OK):
        why = f"{KVM_NODE} may not be opened by uid {os.getuid()} (member of group kvm?)"
    else:
        kvm = boot([QEMU, "-accel", "kvm", "-cpu", CPU["kvm"]])
        if kvm.passed:
            return verdict("kvm", kvm.reason)
        why = f"{KVM_NODE} opens, but {kvm.reason}"
    tcg = boot([QEMU, "-accel", "tcg", "-cpu", CPU["tcg"]])
    if not tcg.passed:
        raise KlabError(
            f"QEMU runs no guest here: kvm: {why}; tcg: {tcg.reason}",
            step="preflight: accelerator",
            mend="install qemu-system-x86 and see that `klab doctor --fresh` passes",
        )
    return verdict("tcg", why)


def patience() -> int:
    """By how much longer than on a computer of one's own a guest may take here.

    Inside of an emulated machine an emulated guest is that much slower; who needs no patience loses none.
    """
    return 10 if laid() else 1


def probe(*, fresh: bool = False) -> Verdict:
    """The accelerator for lab machines on this host: `kvm`, or `tcg` with the reason.

    Takes up to 2 * DEADLINE_S seconds the first time; afterwards the verdict is read
    from the cache as long as the host's fingerprint is the same. `fresh` asks again.
    Raises KlabError when not even emulation runs a guest.
    """
    note = cache_dir() / "accel" / f"{_fingerprint()}.json"
    if not fresh:
        try:
            known = json.loads(note.read_text())
            return Verdict(known["accel"], known["reason"], known["seconds"], cached=True)
        except (OSError, ValueError, KeyError):
            pass
    found = _ask()
    note.parent.mkdir(parents=True, exist_ok=True)
    draft = note.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps(asdict(found), sort_keys=True) + "\n")
    draft.replace(note)
    return found
