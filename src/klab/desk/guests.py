# SPDX-License-Identifier: GPL-3.0-or-later
"""A student's throw-away guest, beside the machine or inside, with the folder it was asked for in."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import click

from klab import accel, catalogue
from klab.desk import call, talk
from klab.desk import place as places
from klab.desk.place import Whose
from klab.errors import KlabError
from klab.guest import modules, qemu, runner, share, wire
from klab.guest.terminal import SHELL_S, Terminal
from klab.kernel import supply
from klab.paths import laid

STEP = "desk: guest"
MEMORY = 1024  # MiB: enough for kernels with sanitizers
INSIDE = 512  # MiB: of a guest inside of the machine
DEADLINE_S = 600.0
LOST = 125  # exit status for a guest that gave none
CONSOLE = 64 << 10  # bytes of a lost guest's console that are shown


def run(
    machine: Whose,
    place: str,
    flavour: str,
    words: Sequence[str],
    *,
    base: str,
    tell: Callable[[bytes], None],
    terminal: Terminal | None = None,
    make: bool = False,
) -> int:
    """Run a command line on a flavour's kernel, or a shell at a terminal; its exit status.

    place: a folder as seen from ~/labs, which the command runs in a copy of; empty: none. In a
    lab's folder the guest has what that lab needs. tell: hears the output. make: build the folder
    for that kernel first; when that fails, nothing runs, and make's status is the answer. Raises
    KlabError when the guest is lost or the kernel not built.
    """
    if PurePosixPath(place).is_absolute() or ".." in PurePosixPath(place).parts:
        raise KlabError(f"{place} lies outside of ~/labs", step=STEP, mend="cd ~/labs")
    if make and not place:
        raise KlabError("there is nothing to make here", step=STEP, mend="cd into your lab, below ~/labs")
    kernel = supply.kernel(flavour)
    line = terminal.shell(base) if terminal else runner.line(words)
    needs = _needs(place)
    with tempfile.TemporaryDirectory(prefix="klab-share-") as name:
        folder = Path(name)
        shared = bool(place) and places.get(machine, place, folder)
        if make and (failed := _make(folder, flavour, tell)):
            return failed
        files = modules.files(kernel) | (share.files(folder) if shared else {})
        with _last_words(tell) as keep:
            ran = runner.run(
                kernel.file("bzImage"),
                [share.script(line) if shared else line],
                which=accel.probe().accel,
                memory=max(INSIDE if laid() else MEMORY, needs.memory),
                cpus=needs.cpus,
                cmdline=" ".join(filter(None, [supply.cmdline(flavour), *needs.cmdline])),
                devices=needs.devices,
                files=files,
                deadline_s=SHELL_S if terminal else DEADLINE_S * accel.patience(),
                keep=keep,
                on_output=tell,
                terminal=terminal,
                base=base,
            )
        if ran.sent:
            tell(wire.shown(ran.sent))
        if shared:
            places.update(machine, place, folder, share.write(folder, ran.results))
    return ran.status


@contextmanager
def _last_words(tell: Callable[[bytes], None]) -> Iterator[Path]:
    """Where a guest's console is kept; all of it is told when the guest is lost: there its report stands."""
    with tempfile.TemporaryDirectory(prefix="klab-console-") as folder:
        keep = Path(folder, "console")
        try:
            yield keep
        except KlabError:
            if keep.exists():
                tell(keep.read_bytes()[-CONSOLE:])
            raise


def _make(folder: Path, flavour: str, tell: Callable[[bytes], None]) -> int:
    """`make` against a flavour's headers; tells what it printed, and returns its status, when it fails."""
    if laid():
        headers = f"KDIR=/lib/modules/{supply.kernel(flavour).manifest['release']}/build"
        done = subprocess.run(["make", headers], cwd=folder, capture_output=True, check=False)
        code, said = done.returncode, done.stdout + done.stderr
    else:
        from klab import sandbox  # noqa: PLC0415 - a lab machine's klab does without

        made = sandbox.make(folder, flavour)
        code, said = made.code, f"{made.out}{made.err}".encode()
    if code:
        tell(said)
    return code


def _needs(place: str) -> catalogue.Needs:
    """What the lab in whose folder `place` lies needs; the usual elsewhere, and where no catalogue is."""
    if not place or laid():
        return catalogue.Needs()  # nobody waits for the labs to be read then
    lab = catalogue.load().labs.get("/".join(PurePosixPath(place).parts[:2]))
    return lab.needs if lab else catalogue.Needs()


@click.command("guest", context_settings={"ignore_unknown_options": True})
@click.argument("flavour")
@click.option("--base", type=click.Choice([qemu.TINY, qemu.DEBIAN]), default=qemu.TINY, show_default=True)
@call.where_option
@click.option("--make", is_flag=True, help="Build the folder for that kernel first.")
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def command(context: click.Context, flavour: str, base: str, make: bool, words: tuple[str, ...]) -> int:
    """Run a command on another kernel, in a throw-away guest; ends with its exit status.

    Without a command it is a shell, which `exit` ends. In ~/labs or below it the folder goes
    with it, and files that the command changes come back. Base tiny is busybox, base debian
    this machine's own programs.

    Example: klab guest --make -- san sh -c 'insmod lifecore.ko && dmesg | tail'
    """
    machine, place, screen = context.obj, context.meta[places.CALLED_IN], context.meta[talk.SCREEN]
    if words:
        return run(machine, place, flavour, words, base=base, tell=talk.show, make=make)
    if not screen:
        raise KlabError("a shell wants a terminal", step=STEP, mend="ssh -t, or name a command")
    talk.begin(talk.TERMINAL)
    asked = Terminal(screen, sys.stdin.fileno(), talk.raw)
    try:
        code = run(machine, place, flavour, (), base=base, tell=talk.raw, terminal=asked, make=make)
    except KlabError as error:
        talk.raw(f"\nklab: {error}\n".replace("\n", "\r\n").encode())
        code = LOST
    talk.hang_up(code, talk.DONE)
