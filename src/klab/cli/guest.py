# SPDX-License-Identifier: GPL-3.0-or-later
"""klab guest: throw-away guests."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import click

from klab import accel, store
from klab.cli.verb import Outcome, verb
from klab.errors import KlabError
from klab.guest import initramfs, modules, pack, qemu, runner, terminal, wire
from klab.guest import share as sharing
from klab.kernel import cached
from klab.machine import parts
from klab.paths import log_dir, tilde

LOST = 125  # exit status when the guest gave none; as env(1) and timeout(1) do


file_option = click.option(
    "--file",
    "extra",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Lay this file into the guest's /klab; may be repeated.",
)


def laid(paths: Sequence[Path]) -> dict[str, tuple[int, bytes]]:
    """What `file_option` asks for."""
    return {f"klab/{path.name}": (initramfs.PROGRAM, path.read_bytes()) for path in paths}


@click.group()
def command() -> None:
    """Throw-away guests: a kernel, a tiny userland, one command, its exact exit status."""


@command.command("run", context_settings={"ignore_unknown_options": True})
@click.option("--kernel", required=True, help="Digest of a kernel in the cache, or path of a bzImage.")
@click.option("--memory", type=click.IntRange(min=64), default=512, show_default=True, help="MiB.")
@click.option("--cpus", type=click.IntRange(1, 64), default=1, show_default=True)
@click.option("--cmdline", default="", help="More kernel arguments.")
@click.option("--timeout", type=float, help="Seconds; else 120, and 8 hours for a shell.")
@click.option(
    "--accel", "which", type=click.Choice(["auto", "kvm", "tcg"]), default="auto", show_default=True
)
@file_option
@click.option(
    "--module", "names", multiple=True, help="Let modprobe find this module there; may be repeated."
)
@click.option(
    "--base",
    type=click.Choice([qemu.TINY, qemu.DEBIAN]),
    default=qemu.TINY,
    show_default=True,
    help="busybox, or the lab image under what is written.",
)
@click.option("--device", "devices", multiple=True, type=click.Choice(qemu.NAMES), help="May be repeated.")
@click.option("--fresh", is_flag=True, help="Boot, even where a guest was kept at that point.")
@click.option(
    "--share",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The command runs in a copy of this folder; files that it changed come back.",
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def run(
    *,
    kernel: str,
    memory: int,
    cpus: int,
    cmdline: str,
    timeout: float | None,
    which: str,
    extra: tuple[Path, ...],
    names: tuple[str, ...],
    base: str,
    devices: tuple[str, ...],
    fresh: bool,
    share: Path | None,
    words: tuple[str, ...],
) -> None:
    """Run WORDS on a kernel, or a shell; ends with their exit status, 125 when the guest was lost.

    Example: klab guest run --kernel 3f2a -- uname -r
    """
    keep = log_dir() / f"guest-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.console"

    def show(output: bytes) -> None:
        sys.stdout.buffer.write(output)
        sys.stdout.buffer.flush()

    try:
        chosen = parts.kernel(kernel)
        files = laid(extra)
        if entry := store.find(cached.KIND, chosen.digest):
            files |= modules.files(entry, names)
        asked = None if words else terminal.Terminal(terminal.here(), sys.stdin.fileno(), show)
        line = asked.shell(base) if asked else runner.line(words)
        if share:
            files |= sharing.files(share)
            line = sharing.script(line)
        ran = runner.run(
            chosen.path,
            [line],
            files=files,
            which=accel.probe().accel if which == "auto" else which,
            memory=memory,
            cpus=cpus,
            cmdline=cmdline,
            deadline_s=timeout or (terminal.SHELL_S if asked else 120.0),
            keep=keep,
            on_output=show,
            terminal=asked,
            base=base,
            devices=devices,
            fresh=fresh,
        )
        show(wire.shown(ran.sent))
        if share:
            sharing.write(share, ran.results)
    except KlabError as error:
        print(f"klab: {error}\n  console: {tilde(keep)}", file=sys.stderr)
        sys.exit(LOST)
    sys.exit(ran.status)


@verb(command, "pack")
def pack_() -> Outcome:
    """Pack what role micro_guest lays on a lab machine, so that guests run inside of it.

    Example: klab guest pack
    """
    made = pack.ensure()
    archive = made.file(pack.NAME)
    return Outcome(False, tilde(archive), {"archive": archive, "digest": made.digest})
