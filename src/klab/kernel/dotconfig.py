# SPDX-License-Identifier: GPL-3.0-or-later
"""A kernel's .config as text."""

from __future__ import annotations

import re

_LINE = re.compile(r"^CONFIG_(\w+)=(.*)$|^# CONFIG_(\w+) is not set$", re.MULTILINE)


def read_config(text: str) -> dict[str, str]:
    """A .config as {symbol: value}; symbols that are not set are "n"."""
    return {m[1] or m[3]: m[2] if m[1] else "n" for m in _LINE.finditer(text)}
