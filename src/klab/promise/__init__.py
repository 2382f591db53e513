# SPDX-License-Identifier: GPL-3.0-or-later
"""Promises: observable properties of a running kernel, provoked and judged in guests."""
