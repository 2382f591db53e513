# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m klab`."""

from klab.cli import main

main(prog_name="klab")
