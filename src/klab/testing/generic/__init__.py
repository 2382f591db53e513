# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests that every lab gets by its lab.yml; klab.lab.grade runs them."""
