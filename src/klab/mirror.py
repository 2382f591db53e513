# SPDX-License-Identifier: GPL-3.0-or-later
"""Where Debian packages come from: the archive that the host's apt already uses.

No mirror is named in this repository. KLAB_DEBIAN_MIRROR overrides the host:
"URI" or "URI SECURITY-URI" (the second is the archive of -security).
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from klab.errors import KlabError

KEYRINGS = [
    Path("/usr/share/keyrings/debian-archive-keyring.gpg"),
    Path("/usr/share/keyrings/debian-archive-keyring.pgp"),
]
# What a foreign suite needs from the host's apt to reach the same archive.
_APT_OPTIONS = re.compile(
    r'^Acquire::(?:https?::[^ ]+|Check-Valid-Until|Check-Date|Retries) ".+";$', re.MULTILINE
)
_UNREACHABLE = re.compile(
    r"Failed to fetch (?P<uri>\S+)"
    r"|(?:Could not|Unable to) connect to '?(?P<host>[^\s':]+)"
    r"|(?:Could not resolve|Temporary failure resolving) '?(?P<name>[^\s':]+)"
    r"|[EW]: The repository '(?P<repo>\S+)[^']*' does(?:n't| not) have a Release file"
)


def _ask(argv: list[str]) -> str:
    """What a program of apt says; nothing when the host has no apt."""
    try:
        return subprocess.run(argv, capture_output=True, text=True, check=False).stdout
    except OSError:
        return ""


def _codename(os_release: Path = Path("/etc/os-release")) -> str:
    """The host's Debian release, empty when it is not Debian."""
    try:
        lines = os_release.read_text().splitlines()
    except OSError:
        return ""
    fields = dict(line.partition("=")[::2] for line in lines if "=" in line)
    return fields.get("VERSION_CODENAME", "").strip('"') if fields.get("ID") == "debian" else ""


def archives(targets: Iterable[str], codename: str) -> tuple[str, str]:
    """URIs of Debian's main and security archive among apt's index targets.

    targets: lines "ORIGIN|RELEASE|REPO_URI", ORIGIN as the archive's Release file
    says it, or not filled in while no `apt-get update` has run yet: then only the
    host's own release counts as Debian's. Empty strings where there is none.
    """
    main = security = ""
    for line in targets:
        origin, release, uri = [*line.split("|"), "", ""][:3]
        known = origin and not origin.startswith("$(")
        base = re.sub(r"(-updates|-security|/updates)$", "", release)
        if origin != "Debian" if known else base != codename:
            continue
        if release.endswith(("-security", "/updates")):
            security = security or uri
        elif release in {base, f"{base}-updates"} and not release.endswith("-backports"):
            main = main or uri
    return main.rstrip("/"), security.rstrip("/")


def _host_archives() -> tuple[str, str]:
    ask = ["apt-get", "indextargets", "--format", "$(ORIGIN)|$(RELEASE)|$(REPO_URI)", "Created-By: Packages"]
    said = _ask(ask) or _ask([*ask, "--no-release-info"])
    return archives(said.splitlines(), _codename())


def debian(suite: str) -> list[str]:
    """Lines for sources.list that give `suite` with its -updates and -security.

    For `trixie-backports` they give trixie, and its backports beside.
    Empty when the host uses no Debian archive (Ubuntu, Fedora): mmdebstrap then
    takes its own default.
    """
    if said := os.environ.get("KLAB_DEBIAN_MIRROR", "").split():
        main, security = said[0].rstrip("/"), said[1].rstrip("/") if said[1:] else ""
    else:
        main, security = _host_archives()
    if not main:
        return []
    keyring = next((key for key in KEYRINGS if key.exists()), None)
    option = f" [signed-by={keyring}]" if keyring else ""
    base = suite.removesuffix("-backports")
    names = [base, f"{base}-updates", *([suite] if suite != base else [])]
    lines = [f"deb{option} {main} {name} main" for name in names]
    return lines + ([f"deb{option} {security} {base}-security main"] if security else [])


def apt_options() -> list[str]:
    """The host's apt settings (proxy, validity) that reaching the archive needs."""
    return [line.rstrip(";") for line in _APT_OPTIONS.findall(_ask(["apt-config", "dump"]))]


def unreachable(log: Path, step: str) -> KlabError | None:
    """The error to raise when a log tells that an archive could not be reached."""
    try:
        found = _UNREACHABLE.search(log.read_text(errors="replace"))
    except OSError:
        return None
    if not found:
        return None
    place = next(filter(None, found.groups()))
    return KlabError(
        f"the Debian archive cannot be reached: {place}",
        step=step,
        log=log,
        mend="check the network and `apt-get update` on this host,\n"
        "or name another archive: KLAB_DEBIAN_MIRROR=URI",
    )
