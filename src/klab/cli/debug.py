# SPDX-License-Identifier: GPL-3.0-or-later
"""`klab kernel debug-package`: what role kernel_install brings to machines besides the kernel."""

from __future__ import annotations

import click

from klab.cli.verb import Outcome, check_option
from klab.kernel import debug


@click.option("--digest", required=True, help="Digest of a kernel in the cache.")
@check_option
def package(digest: str, check: bool) -> Outcome:
    """Make the Debian package of a kernel's debug symbols, unless it is in the cache.

    Example: klab kernel debug-package --digest b1269ac0268f…
    """
    if check:
        return Outcome(False, "it would be made unless it is in the cache", {"packages": []})
    made = debug.ensure(digest)
    text = str(made) if made else "this kernel has no vmlinux: Debian built it"
    return Outcome(False, text, {"packages": [str(made)] if made else []})
