# SPDX-License-Identifier: GPL-3.0-or-later
"""The image: a Debian tree, provisioned by roles and sealed into a read-only disk."""
