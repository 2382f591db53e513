# SPDX-License-Identifier: GPL-3.0-or-later
"""Lab machines on this hypervisor: rootless QEMU, no daemon, one folder each."""
