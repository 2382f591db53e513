# SPDX-License-Identifier: GPL-3.0-or-later
"""`klab class hypervisors` and `spread`: the computers that hold seats get what they need."""

from __future__ import annotations

import click

from klab.classroom import definition, hypervisors
from klab.cli.class_options import chosen, class_option, seat_options, told
from klab.cli.verb import Outcome, check_option, verb
from klab.spread import copies, lay

group = click.Group()


@verb(group, "hypervisors")
@seat_options
@check_option
def hypervisors_(*, where: str, names: tuple[str, ...], groups: tuple[str, ...], check: bool) -> Outcome:
    """See that the hypervisors of the seats can run them; other computers get the klab of this checkout.

    Example: klab class hypervisors --check
    """
    class_ = definition.load(where)
    found = hypervisors.look(class_, chosen(class_, names, groups), check=check)
    data = {
        "leads": found.leads,
        "absent": found.absent,
        "host_keys": found.host_keys,
        "errors": {name: f"{error.what} (do: {error.mend})" for name, error in found.errors.items()},
    }
    lines = [f"{name}: klab would be laid there first" for name in found.absent]
    lines += [f"{len(found.leads) - len(found.errors)} of {len(found.leads)} hypervisors are ready"]
    return Outcome(found.changed, "\n".join(lines) + told(found.errors), data)


@verb(group, "spread")
@click.argument("name")
@class_option
@click.option("--kernel", required=True, help="The whole digest of a kernel in the cache.")
@click.option("--image", required=True, help="The whole digest of an image in the cache.")
@check_option
def spread(*, name: str, where: str, kernel: str, image: str, check: bool) -> Outcome:
    """Bring a kernel and an image to the cache of a hypervisor, unless they are there.

    Each file is verified there. A copy that was cut off goes on where it was.

    Example: klab class spread hyper2 --kernel DIGEST --image DIGEST
    """
    class_ = definition.load(where)
    other = hypervisors.there(class_.hypervisor(name))
    if other is None:
        return Outcome(False, f"{name} is this computer", {"bytes": 0, "brought": []})
    entries = copies.parts(kernel, image)
    if check:
        done = copies.look(other, entries) if lay.look(other).klab else copies.all_of(entries)
    else:
        done = copies.bring(other, entries)
    brought = [one.name for one in done.missing]
    did = "would be brought" if check else "brought"
    said = f"{did} to {name}: {', '.join(brought)}, {done.bytes >> 20} MiB" if brought else "all is there"
    return Outcome(bool(brought), said, {"bytes": done.bytes, "brought": brought})
