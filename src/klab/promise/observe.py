# SPDX-License-Identifier: GPL-3.0-or-later
"""Provoke a flavour's promises in guests of its kernel and of stock, and keep what was seen."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from klab import accel, lock, store
from klab.errors import KlabError
from klab.guest import runner
from klab.kernel import artefact
from klab.kernel import flavour as flavours
from klab.kernel.dotconfig import read_config
from klab.paths import cache_dir, log_dir
from klab.promise import kgdb, model, probes
from klab.promise.verdict import Finding, Verdict, evidence, judge, provoked

STOCK = "stock"
# The whole kernel log comes with the output: the console shows only what is urgent.
COMMAND = "sh /klab/run.sh; status=$?; dmesg; exit $status"


def proofs(kernel: str) -> Path:
    """Where all that was observed of the kernel with this digest is kept."""
    return cache_dir() / "proofs" / f"{kernel}.json"


def kept(kernel: str) -> dict[str, dict[str, object]]:
    """What is kept of a kernel: {"findings": {promise: …}, "verdicts": {promise: …}}."""
    try:
        return dict(json.loads(proofs(kernel).read_text()))
    except (OSError, ValueError):
        return {"findings": {}, "verdicts": {}}


def _keep(kernel: str, part: str, promise: str, body: dict[str, object]) -> None:
    path = proofs(kernel)
    path.parent.mkdir(parents=True, exist_ok=True)
    with lock.held(cache_dir() / "locks" / f"proofs-{kernel}", "proofs", wait=True):
        whole = kept(kernel)
        whole[part][promise] = body
        draft = path.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps(whole, indent=2, sort_keys=True) + "\n")
        draft.replace(path)


def configuration(kernel: store.Entry, output: bytes) -> list[str]:
    """What to say of /proc/config.gz, which the guest has written to its output."""
    ours = kernel.file("config").read_bytes()
    seen = read_config(output.decode(errors="replace"))
    asked = {
        name: body["value"]
        for name, body in kernel.manifest.get("symbols", {}).items()
        if not body.get("dropped")
    }
    wrong = {name: seen.get(name, "n") for name, value in asked.items() if seen.get(name, "n") != value}
    same = "equals" if ours and ours in output else "differs from"
    lines = [f"config: /proc/config.gz {same} the artefact's config"]
    lines += [f"config: CONFIG_{name} is {value}, not {asked[name]}" for name, value in wrong.items()]
    return [*lines, f"config: {len(asked) - len(wrong)} of {len(asked)} requested symbols"]


def finding(promise: model.Promise, kernel: store.Entry, which: str) -> Finding:
    """Boot one guest of `kernel`, provoke the promise there, and say what was seen.

    which: the accelerator. A guest that is lost, or a probe that cannot be built, is a
    finding too; only what concerns neither is raised.
    """
    flavour = flavours.load(kernel.manifest["flavour"])
    text = log_dir() / f"observe-{flavour.name}-{promise.name}.txt"
    console = text.with_suffix(".console")
    console.unlink(missing_ok=True)
    heard: list[str] = []
    output: list[bytes] = []
    lost, wall_s = "", 0.0

    def talk(path: Path) -> None:
        kgdb.talk(path, kernel.file("System.map").read_text(), heard.append)

    try:
        ran = runner.run(
            kernel.file("bzImage"),
            [COMMAND],
            which=which,
            memory=promise.guest.memory,
            cpus=promise.guest.cpus,
            cmdline=" ".join([*flavour.cmdline, promise.guest.cmdline]),
            files=probes.files(promise, kernel, flavour.toolchain),
            deadline_s=promise.guest.deadline_s,
            keep=console,
            on_output=output.append,
            on_serial=talk if promise.host == "kgdb" else None,
            fresh=promise.host == "kgdb",  # its stop may come before a guest could be kept
        )
        wall_s = ran.wall_s
    except KlabError as error:
        lost = error.what.splitlines()[0]
    said = b"".join(output)
    if promise.host == "config" and not lost:
        heard += configuration(kernel, said)
    shown = console.read_text(errors="replace") if console.exists() else ""
    lines = [*heard, *said.decode(errors="replace").splitlines(), *shown.splitlines()]
    text.parent.mkdir(parents=True, exist_ok=True)
    text.write_text("\n".join(lines) + "\n")
    console.unlink(missing_ok=True)
    return Finding(
        kernel=kernel.digest,
        release=kernel.manifest["release"],
        digest=promise.digest(which),
        provoked=provoked(lines),
        evidence=evidence(promise.shows, lines),
        lost=lost,
        text=str(text),
        wall_s=wall_s,
    )


def _of_stock(promise: model.Promise, which: str) -> Finding | None:
    """What stock showed; looked at once for each state of the promise, as long as it was provoked."""
    kernel = artefact.find(STOCK) if STOCK in flavours.names() else None
    if kernel is None:
        return None
    past = kept(kernel.digest)["findings"].get(promise.name)
    if isinstance(past, dict):
        known = Finding.from_dict(past)
        if known.digest == promise.digest(which) and known.provoked:
            return known
    seen = finding(promise, kernel, which)
    _keep(kernel.digest, "findings", promise.name, seen.as_dict())
    return seen


def promised(flavour: str, only: Sequence[str] = ()) -> list[model.Promise]:
    """The promises of a flavour, or those named. Raises KlabError for one it does not make."""
    made = flavours.load(flavour).promises
    for name in only:
        if name not in made:
            model.load(name)
            raise KlabError(
                f"flavour '{flavour}' does not promise {name}",
                step=model.STEP,
                mend=f"its promises (labs/_kernels/flavours.yml): {', '.join(made)}",
            )
    return [model.load(name) for name in only or made]


def observe(
    flavour: str,
    only: Sequence[str] = (),
    *,
    own: Sequence[Path] = (),
    tell: Callable[[Verdict], None] = lambda _: None,
) -> list[Verdict]:
    """Provoke the promises of a flavour, and judge; `tell` hears each verdict as it falls.

    own: fragments that the kernel was built of instead of the flavour's. The flavour's
    guests run each time; stock's only once for each promise as it is.
    Raises KlabError when the flavour has not been built.
    """
    wanted = promised(flavour, only)
    kernel = artefact.get(flavour, own)
    which = accel.probe().accel
    verdicts = []
    for promise in wanted:
        here = finding(promise, kernel, which)
        _keep(kernel.digest, "findings", promise.name, here.as_dict())
        alone = promise.stock == "same"
        # What was not shown here needs no comparison.
        stock = _of_stock(promise, which) if here.shown and not alone else None
        verdict = judge(promise.name, promise.shows, here, stock, alone=alone)
        _keep(kernel.digest, "verdicts", promise.name, {"word": verdict.word, "reason": verdict.reason})
        verdicts.append(verdict)
        tell(verdict)
    return verdicts
