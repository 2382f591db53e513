# SPDX-License-Identifier: GPL-3.0-or-later
"""klab archive: publish kernels and images, serve them, prune what is old."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

import click

from klab import retention
from klab.archive import keys, place, publish, server
from klab.cli.verb import Outcome, check_option, verb
from klab.digest import short
from klab.errors import KlabError
from klab.kernel import artefact, root
from klab.machine import model, ports


@click.group()
def command() -> None:
    """The archive: kernels as a signed apt repository, images and manifests over HTTP."""


def _line(item: place.Item) -> str:
    date = time.strftime("%Y-%m-%d %H:%M", time.localtime(item.published))
    return f"{item.kind:<8} {short(item.digest)}  {date}  {item.flavour:<8} {item.release}".rstrip()


@verb(command, "publish")
@click.option("--flavour", "flavours", multiple=True, help="A kernel that has been built; repeat it.")
@click.option("--image", "images", multiple=True, help="An image's digest or its first digits; repeat it.")
@click.option("--again", is_flag=True, help="Take them anew although they are published: mends damage.")
@click.option("--new-key", is_flag=True, help="Sign with a new key; machines must be given it.")
@check_option
def publish_them(
    flavours: tuple[str, ...], images: tuple[str, ...], again: bool, new_key: bool, check: bool
) -> Outcome:
    """Publish kernels and images; what is published already changes nothing.

    Without any it completes what a run that was cut off left.
    Example: klab archive publish --flavour lab --flavour san
    """
    if check and (later := [name for name in flavours if artefact.find(name) is None]):
        return Outcome(True, f"would be published once they are built: {', '.join(later)}")
    entries = [artefact.get(name) for name in flavours] + [publish.image(name) for name in images]
    known = {item.digest for item in place.items()}
    missing = [entry for entry in entries if again or entry.digest not in known]
    if check:
        would = [f"would be published: {entry.kind} {short(entry.digest)}" for entry in missing]
        return Outcome(bool(would or new_key), "\n".join(would) or "all of it is published")
    if not (missing or again or new_key) and publish.complete():
        return Outcome(False, "all of it is published", {"fingerprint": keys.fingerprint()})
    with place.locked():
        inside = root.ready("archive")
        key = keys.ensure(inside, new=new_key)
        taken = [publish.take(entry, inside) for entry in missing]
        changed = publish.refresh(inside, key, again=again)
    lines = [f"published: {_line(item)}" for item in taken]
    return Outcome(changed, "\n".join(lines) or "the archive was completed", {"fingerprint": key})


@verb(command, "list")
def list_all() -> Outcome:
    """List what is published, newest first.

    Example: klab archive list
    """
    found = place.items()
    text = "\n".join(map(_line, found)) or "nothing is published"
    return Outcome(False, text, {"items": [asdict(item) for item in found]})


def _facts() -> dict[str, Any]:
    """What a machine must know to use the archive."""
    at = server.known()
    return {
        "url": at.url,
        "guest_url": at.guest_url,
        "suite": place.SUITE,
        "component": place.COMPONENT,
        "fingerprint": keys.fingerprint(),
        "key": keys.public_key(),
    }


@verb(command, "show")
@click.option("--flavour", default="lab", show_default=True, help="A kernel of labs/_kernels/flavours.yml.")
def show(flavour: str) -> Outcome:
    """Show how a machine gets the present kernel of a flavour: address, key, exact versions.

    Example: klab archive show --flavour lab --json
    """
    entry = artefact.get(flavour)
    item = next((item for item in place.items() if item.digest == entry.digest), None)
    if item is None:
        raise KlabError(
            f"the kernel of flavour '{flavour}' is built but not published",
            step="archive: find",
            mend=f"klab archive publish --flavour {flavour}",
        )
    install = [f"{package.name}={package.version}" for package in item.packages]
    facts = {**_facts(), "release": item.release, "digest": item.digest, "install": install}
    text = f"archive: {facts['guest_url']} {place.SUITE} {place.COMPONENT}\nkey: {facts['fingerprint']}"
    return Outcome(False, f"{text}\ninstall: apt-get install {' '.join(install)}", facts)


@verb(command, "verify")
def verify() -> Outcome:
    """Hash every file that is served; exit status 1 when one is damaged.

    Example: klab archive verify
    """
    damaged = publish.damaged()
    lines = [f"damaged: {name}" for name in damaged]
    if damaged:
        lines.append("klab archive publish --again with its --flavour or --image mends it")
    text = "\n".join(lines) or "every file is as it was published"
    return Outcome(False, text, {"damaged": damaged}, code=1 if damaged else 0)


@verb(command, "prune")
@click.option("--keep", default=2, show_default=True, help="Of each flavour and of images, newest first.")
@click.option("--older-than", default=30.0, show_default=True, help="Days for which nothing is removed.")
@click.option("--yes", is_flag=True, help="Do it; without this it only says what would be removed.")
@check_option
def prune(keep: int, older_than: float, yes: bool, check: bool) -> Outcome:
    """Take out old artefacts, and say which; what a machine is made of stays.

    Example: klab archive prune --keep 2 --older-than 30 --yes
    """
    used = model.made_of()
    old = retention.superseded(
        place.items(),
        group=lambda item: (item.kind, item.flavour),
        made=lambda item: item.published,
        keep=keep,
        older_than_days=older_than,
    )
    gone = [item for item in old if item.digest not in used]
    removing = yes and not check
    if gone and removing:
        with place.locked():
            inside = root.ready("archive")
            key = keys.ensure(inside)
            for item in gone:
                publish.withdraw(item)
            publish.refresh(inside, key)
    said = "removed" if removing else "would be removed"
    lines = [f"{said}: {_line(item)}" for item in gone]
    if gone and not yes:
        lines.append("nothing was removed; --yes does it")
    data = {"removed": [item.digest for item in gone] if removing else []}
    return Outcome(bool(gone and yes), "\n".join(lines) or "nothing to remove", data)


@verb(command, "up")
@click.option("--port", default=0, help="TCP port; without it the one it had, at first a free one.")
@click.option("--listen", default=ports.LOOPBACK, show_default=True, help="Address to listen at.")
@check_option
def up(port: int, listen: str, check: bool) -> Outcome:
    """Serve the archive over HTTP until `klab archive down`.

    Example: klab archive up --port 8470
    """
    if check:
        now = server.known()
        right = now.pid and (port or now.port, listen) == (now.port, now.listen)
        return Outcome(not right, "served" if right else "it would be served")
    with place.locked():
        changed = server.up(listen, port)
    facts = _facts()
    return Outcome(
        changed, f"served at {facts['url']}, for machines on this host {facts['guest_url']}", facts
    )


@verb(command, "down")
@check_option
def down(check: bool) -> Outcome:
    """End the archive's server.

    Example: klab archive down
    """
    if check:
        return Outcome(bool(server.known().pid), "it would be ended" if server.known().pid else "not served")
    with place.locked():
        changed = server.down()
    return Outcome(changed, "ended" if changed else "it was not served")


@verb(command, "status")
def status() -> Outcome:
    """Show whether the archive is served, where, and what signs it.

    Example: klab archive status
    """
    at = server.known()
    facts = {
        "running": bool(at.pid),
        "pid": at.pid,
        "url": at.url,
        "guest_url": at.guest_url,
        "fingerprint": keys.fingerprint(),
        "items": len(place.items()),
    }
    state = f"served at {at.url} (pid {at.pid})" if at.pid else "not served; klab archive up does it"
    text = f"{state}\nitems: {facts['items']}\nkey: {facts['fingerprint'] or 'none yet'}"
    return Outcome(False, text, facts)
