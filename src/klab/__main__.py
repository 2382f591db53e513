# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m klab`."""

from klab.cli import main

if __name__ == "__main__":  # the servers of graders import it, too
    main(prog_name="klab")
