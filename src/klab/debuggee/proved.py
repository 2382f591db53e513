# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether dumps of a kernel were ever read with the tools that are here."""

from __future__ import annotations

import yaml

from klab.kernel import root, symbols
from klab.paths import data_file


def upstream(version: str) -> str:
    """A package's version without epoch and Debian's revision (deb-version(7))."""
    return version.partition(":")[2].rpartition("-")[0] if ":" in version else version.rpartition("-")[0]


def unproved(release: str, versions: dict[str, str] | None = None) -> list[str]:
    """What nobody has tried of this kernel and these tools, a line each; nothing when all was.

    release: of the kernel, such as 6.12.117-klab-lab. versions: of packages, else those of the root.
    """
    line = ".".join(release.partition("-")[0].split(".")[:2])
    known = yaml.safe_load(data_file("dump-tools.yml").read_text())
    if line not in known:
        return [f"dumps of kernel {line} were never tried; of {', '.join(known)} they were"]
    if versions is None:
        made = root.find(symbols.ROOT)
        versions = made.manifest["versions"] if made else {}
    return [
        f"dumps of kernel {line} were tried with {package} {wanted}, here is {upstream(versions[package])}"
        for package, wanted in known[line].items()
        if package in versions and upstream(versions[package]) != str(wanted)
    ]
