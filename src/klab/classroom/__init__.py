# SPDX-License-Identifier: GPL-3.0-or-later
"""Many machines from one roster: who sits where, on what, and whether it fits."""
