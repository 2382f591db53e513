# SPDX-License-Identifier: GPL-3.0-or-later
"""The desk: what the student's `klab` on a lab machine asks for is done on this computer.

Graders, solutions and the record of who did what lie here, out of reach of the machine's
root; the machine has a client of forty lines (roles/lab_machine/files/klab).
"""
