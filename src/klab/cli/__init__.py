# SPDX-License-Identifier: GPL-3.0-or-later
"""The `klab` command on the control host. Sub-commands are loaded when called."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click

from klab import __version__

# group or command -> module in klab.cli that holds it as `command`, or in its `group`
COMMANDS = {
    "doctor": "doctor",
    "root": "root",
    "source": "source",
    "kernel": "kernel",
    "image": "image",
    "vm": "vm",
    "boot": "boot",
    "guest": "guest",
    "debuggee": "debuggee",
    "dump": "dump",
    "archive": "archive",
    "cache": "cache",
    "report": "report",
    "list": "catalogue",
    "show": "catalogue",
    "path": "catalogue",
    "start": "lab",
    "check": "lab",
    "reset": "lab",
    "solve": "lab",
    "collect": "lab",
    "new": "catalogue",
    "catalogue": "catalogue",
    "seal": "seal",
    "unseal": "seal",
    "contract": "contract",
    "matrix": "contract",
    "class": "classroom",
    "desk": "desk",
}


class Lazy(click.Group):
    """A group that imports a sub-command's module only when it is used.

    modules: as COMMANDS above.
    """

    def __init__(self, *args: Any, modules: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._modules = modules

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the flow."""
        return list(self._modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the sub-command, or None when there is none."""
        if cmd_name not in self._modules:
            return None
        module = importlib.import_module(f"klab.cli.{self._modules[cmd_name]}")
        group = getattr(module, "group", None)
        return group.commands[cmd_name] if group else module.command  # type: ignore[no-any-return]


@click.group(cls=Lazy, modules=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Kernel-lab machines, built and proved: kernel, image, machine, lab, proof."""
