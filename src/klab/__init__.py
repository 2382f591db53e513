# SPDX-License-Identifier: GPL-3.0-or-later
"""klab: kernel-lab machines, built and proved."""

__version__ = "0.1.0"
