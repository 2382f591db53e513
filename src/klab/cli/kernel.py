# SPDX-License-Identifier: GPL-3.0-or-later
"""klab kernel: flavours and their artefacts."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from klab import digest as digests
from klab import store
from klab.cli import debug, incoming
from klab.cli.observe import observe
from klab.cli.programs import programs
from klab.cli.verb import Outcome, check_option, verb
from klab.kernel import artefact, cached, reproduce, resolve, root, source
from klab.kernel import build as builder
from klab.kernel import flavour as flavours
from klab.paths import log_dir

flavour_option = click.option(
    "--flavour", default="lab", show_default=True, help="A kernel of labs/_kernels/flavours.yml."
)
own_option = click.option(
    "--fragment",
    "own",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Your own fragment instead of the flavour's; more than one is in order.",
)


@click.group()
def command() -> None:
    """Kernels as data: from a flavour to a proved, content-addressed artefact."""


@verb(command, "build")
@flavour_option
@own_option
@check_option
def build(flavour: str, own: tuple[Path, ...], check: bool) -> Outcome:
    """Build a flavour, or fetch one that Debian built, unless it is in the cache.

    Example: klab kernel build --flavour own --fragment my.config
    """
    if check:
        entry = artefact.find(flavour, own)
        if entry is None:
            return Outcome(True, f"the kernel of flavour {flavour} would be built")
        return Outcome(False, f"kernel {flavour} is in the cache", builder.hand_over(entry, flavour))
    entry, built = builder.ensure(flavour, own)
    state = "built" if built else "reused"
    return Outcome(built, f"kernel {flavour} {state}: {entry.path}", builder.hand_over(entry, flavour))


@verb(command, "prove")
@flavour_option
@own_option
def prove(flavour: str, own: tuple[Path, ...]) -> Outcome:
    """Resolve a flavour's config and prove each symbol, without compiling.

    Example: klab kernel prove --flavour san
    """
    wanted = flavours.built(flavour, own)
    tools = root.ready(wanted.toolchain)
    tree = source.ensure(wanted.source).path / "tree"
    with TemporaryDirectory(prefix="klab-prove-") as folder:
        log = log_dir() / f"kernel_prove-{flavour}.log"
        proved = resolve.resolve(wanted, tools, tree, Path(folder), log)
    gone = [request for request in proved.values() if request.became]
    lines = [f"all {len(proved) - len(gone)} symbols of flavour {flavour} survive"]
    lines += [f"  CONFIG_{one.name} became {one.became}, and may: {one.optional}" for one in gone]
    return Outcome(
        False, "\n".join(lines), {"symbols": len(proved) - len(gone), "dropped": [one.name for one in gone]}
    )


@verb(command, "verify-reproducible")
@flavour_option
@click.option("--fresh", is_flag=True, help="Build even where the same was seen of this digest before.")
def verify_reproducible(flavour: str, fresh: bool) -> Outcome:
    """Build a flavour twice from nothing and compare every byte; exit status 1 when one differs.

    Takes as long as two first builds, the first time: other folders, other jobs, umask, time zone and host
    name, no ccache. An artefact in the cache that was built from nothing is the first of the two; any other
    is compared as well.
    Example: klab kernel verify-reproducible --flavour lab
    """
    verdict = reproduce.verify(flavour, fresh=fresh)
    data = {**asdict(verdict), "same": verdict.same}
    return Outcome(False, "\n".join(verdict.lines()), data, code=0 if verdict.same else 1)


@verb(command, "show")
@flavour_option
@own_option
def show(flavour: str, own: tuple[Path, ...]) -> Outcome:
    """Show the artefact of a flavour as it is described now.

    Example: klab kernel show --flavour lab --json
    """
    entry = artefact.get(flavour, own)
    facts = builder.hand_over(entry, flavour)
    return Outcome(False, "\n".join(f"{key}: {value}" for key, value in facts.items()), facts)


@verb(command, "list")
def list_all() -> Outcome:
    """List the artefacts in the cache, newest first.

    Example: klab kernel list
    """
    found = [builder.describe(entry) for entry in store.entries(cached.KIND)]
    lines = [f"{digests.short(str(k['digest']))}  {k['flavour']:<8} {k['release']}" for k in found]
    return Outcome(False, "\n".join(lines) or "no kernel in the cache", {"kernels": found})


verb(command, "debug-package")(debug.package)
verb(command, "observe")(flavour_option(own_option(observe)))
verb(command, "programs")(flavour_option(programs))
verb(command, "incoming")(incoming.kernel_awaited)
verb(command, "adopt")(incoming.kernel_taken)
