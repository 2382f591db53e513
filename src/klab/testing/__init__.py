# SPDX-License-Identifier: GPL-3.0-or-later
"""What klab's tests stand on: machines as fixtures, and failures that say where to look."""
