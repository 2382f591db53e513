# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernels as data: a flavour in, a proved, content-addressed artefact out."""
