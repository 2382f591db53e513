# SPDX-License-Identifier: GPL-3.0-or-later
"""The one exception that users see: what happened, where, what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any


class KlabError(Exception):
    """A failure that a person can act on.

    what:    one sentence, what happened
    step:    the step that was under way, e.g. "kernel_build: resolve config"
    machine: the host or guest concerned, if any
    log:     the file with the details, if any
    mend:    what to do now, an instruction
    """

    def __init__(
        self,
        what: str,
        *,
        step: str = "",
        machine: str = "",
        log: Path | str | None = None,
        mend: str = "",
    ) -> None:
        super().__init__(what)
        self.what = what
        self.step = step
        self.machine = machine
        self.log = str(log) if log else ""
        self.mend = mend

    def as_dict(self) -> dict[str, Any]:
        """The error as data, empty fields left out."""
        fields = {
            "what": self.what,
            "machine": self.machine,
            "step": self.step,
            "log": self.log,
            "mend": self.mend,
        }
        return {key: value for key, value in fields.items() if value}

    def __str__(self) -> str:
        labels = {"machine": "machine", "step": "step", "log": "log", "mend": "do"}
        lines = [self.what]
        for key, label in labels.items():
            value = getattr(self, key)
            if value:
                indented = value.replace("\n", "\n           ")
                lines.append(f"  {label + ':':<9}{indented}")
        return "\n".join(lines)
