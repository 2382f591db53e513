# SPDX-License-Identifier: GPL-3.0-or-later
"""The fixture `guest`, and the gate that no unexpected complaint of a kernel passes."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from klab import accel, catalogue, store
from klab.errors import KlabError
from klab.guest import initramfs, modules, runner
from klab.guest.initramfs import Content
from klab.kernel import artefact, decode
from klab.kernel import flavour as flavours
from klab.machine import console
from klab.testing import expect
from klab.testing.observe import RECORDER

MEMORY = 512  # MiB, unless the lab needs more
DEADLINE_S = 120.0
# Of a guest in which leaks are looked for. kmemleak walks through all that is allocated, and of
# that there is the more the more memory there is: with half of it a scan takes half the time.
LEAKS: dict[str, Any] = {"memory": 384, "cmdline": "kmemleak=on"}
LOST = -1  # status of a guest that was lost where that was allowed
# Without this line on the console the guest was lost before the student's work began.
BEGUN = "klab: begins"
# All that the kernel says from here on goes to the console, and through the gate.
LOUD = f"dmesg -n 8 2>/dev/null; echo '{BEGUN}' >/dev/console; "

Named = Callable[[list[str]], list[str]]
REPORT, SHOWN = 40, 24  # lines of a report that are looked through, and that are shown


def since(path: Path, before: int) -> list[str]:
    """The console's lines from the byte `before` on."""
    with path.open("rb") as stream:
        stream.seek(before)
        said = stream.read().decode(errors="replace")
    return [console.NOISE.sub("", line) for line in said.splitlines()]


def complaints(spec: catalogue.Lab, lines: Iterable[str]) -> list[console.Finding]:
    """The kernel's complaints that this lab does not expect."""
    expected = [re.compile(pattern) for pattern in spec.splats]
    found = console.splats(list(lines), everything=True)
    return [splat for splat in found if not any(e.search(splat.line) for e in expected)]


def _as_is(lines: list[str]) -> list[str]:
    return lines


def decoder(kernel: store.Entry, files: Mapping[str, Content]) -> Named:
    """What puts places in the source behind names of this kernel and of the modules among `files`.

    A report that nobody will read stays as it is.
    """
    if RECORDER.brief or "vmlinux" not in kernel.manifest["files"]:
        return _as_is
    built = {Path(name).stem: path for name, path in files.items() if isinstance(path, Path)}
    return lambda lines: decode.lines(lines, kernel, built)


def gate(spec: catalogue.Lab, lines: Iterable[str], *, look: str | Path, named: Named = _as_is) -> None:
    """Fail the test when the kernel complained of something that the lab does not expect.

    named: puts the places in the source behind the names of a report.
    """
    __tracebackhide__ = True
    lines = list(lines)
    if found := complaints(spec, lines):
        first = found[0]
        around = named(lines[first.number - 1 : first.number + REPORT])[:SHOWN]
        expect.fail(
            f"the kernel has nothing to complain of ({first.name})",
            observed="\n".join(around),
            expected="no warning, oops or report of a sanitizer",
            look=look,
            splat=first.line,
        )


@dataclass(frozen=True)
class Guests:
    """Calls of it run a script in a guest of the lab's kernel."""

    spec: catalogue.Lab

    def __call__(
        self,
        script: str,
        *,
        kernel: str | Path | None = None,
        files: Mapping[str, Content] | None = None,
        needs: Sequence[str] = (),
        memory: int | None = None,
        cpus: int | None = None,
        cmdline: str = "",
        devices: Sequence[str] | None = None,
        cpu: str = "",
        base: str = "tiny",
        fresh: bool = False,
        erst: Path | None = None,
        deadline_s: float = DEADLINE_S,
        may_die: bool = False,
    ) -> runner.Ran:
        """Run `script` in a new guest and return what it left; the test fails when the guest is lost.

        kernel: a flavour, or a bzImage; else the lab's flavour. files: {path there: bytes, text
        or a file here}; a file that is executable here is so there. needs: the kernel's own
        modules that are needed. memory in MiB and cpus: else what the lab needs. cpu: more of
        its processors' features, such as la57=on. fresh: it boots, and does not go on from
        where another one was kept, at the same addresses. erst: a file of the host, for what
        the device of that name keeps from one guest to the next. may_die: a guest that is lost
        returns, with status LOST and what it wrote until then.
        """
        __tracebackhide__ = True
        given = initramfs.contents(files or {})
        named: Named = _as_is
        words = [*self.spec.needs.cmdline]
        if isinstance(kernel, Path):
            image = kernel
        else:
            flavour = flavours.load(kernel or self.spec.kernel)
            entry = artefact.get(flavour.name)
            image = entry.file("bzImage")
            named = decoder(entry, files or {})
            given = {**(modules.files(entry, needs) if needs else {}), **given}
            words = [*flavour.cmdline, *words]
        words.append("oops=panic")  # what oopsed is lost: say so at once, not at the deadline
        output: list[bytes] = []
        with tempfile.TemporaryDirectory(prefix="klab-console-") as folder:
            keep = Path(folder, "console")
            try:
                ran = runner.run(
                    image,
                    [LOUD + script],
                    which=accel.probe().accel,
                    memory=memory or max(self.spec.needs.memory or 0, MEMORY),
                    cpus=cpus or self.spec.needs.cpus or 1,
                    cmdline=" ".join([*words, cmdline]).strip(),
                    files=given,
                    deadline_s=deadline_s,
                    keep=keep,
                    on_output=output.append,
                    # What the gate will refuse need not run to its end, or to the deadline.
                    enough=lambda lines: complaints(self.spec, lines),
                    base=base,
                    devices=tuple(self.spec.needs.devices if devices is None else devices),
                    cpu=cpu,
                    fresh=fresh,
                    erst=erst,
                )
            except KlabError as error:
                lines = console.lines(keep)
                if BEGUN not in lines and not isinstance(kernel, Path):
                    raise  # nothing is known of the student's work
                if not may_die:
                    self._lost(error, lines, b"".join(output), named)
                ran = runner.Ran(LOST, b"".join(output), deadline_s, tuple(lines))
        gate(self.spec, ran.console, look="what your module does at that point", named=named)
        return ran

    def _lost(self, error: KlabError, lines: Sequence[str], output: bytes, named: Named) -> None:
        """Say why a guest ended; the kernel's own complaint tells more than that it ended."""
        __tracebackhide__ = True
        gate(self.spec, lines, look="the first lines of the report name your function", named=named)
        sign = console.hopeless(list(lines))
        said = output.decode(errors="replace").strip()[-500:]
        expect.fail(
            f"the kernel lives through your work ({sign.name if sign else 'the guest was lost'})",
            observed=f"{error.what}\nlast output: {said or '(none)'}",
            expected="a guest that runs to the end and hands over an exit status",
            look=sign.mend if sign and sign.mend else "an endless loop, a deadlock, a panic or a reboot",
        )
