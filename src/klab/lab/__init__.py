# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab at work: its workspace, the verdict on it, and the proof that verdicts are right."""
