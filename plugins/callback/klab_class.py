# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep how a playbook went for each seat of a class."""

from __future__ import annotations

DOCUMENTATION = r"""
name: klab_class
type: notification
short_description: Keeps how a playbook went for each seat of a class
description:
  - Writes C(state.json) for each seat that was in the run, and C(failed) with those to do again.
  - Both lie in the class's state folder.
  - Says at the end what failed, with step, log and what to do. Inventories without a class are left alone.
author: klab contributors
requirements:
  - enabled in C(callbacks_enabled)
"""

import time
from pathlib import Path

from ansible.plugins.callback import CallbackBase

from klab.classroom import claim, lastrun


class CallbackModule(CallbackBase):
    """A shim: klab.classroom.lastrun does the work."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "klab_class"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self._variables = None
        self._failed = {}
        self._left_out = False

    def v2_playbook_on_play_start(self, play) -> None:
        """Remember where variables of hosts are, and whether anything is done at all."""
        self._variables = play.get_variable_manager()
        self._left_out = self._left_out or bool(play.check_mode)

    def v2_runner_on_failed(self, result, ignore_errors=False) -> None:
        """A task failed on a host."""
        if not ignore_errors:
            self._note(result)

    def v2_runner_on_unreachable(self, result) -> None:
        """A host does not answer."""
        self._note(result, reached=False)

    def _note(self, result, *, reached: bool = True) -> None:
        made = lastrun.of_task(result.task.get_name(), result.result, reached=reached)
        self._failed.setdefault(result.host.get_name(), made)

    def v2_playbook_on_stats(self, stats) -> None:
        """The end: keep it, and say what is to be done again."""
        by_class = {}
        inventory = self._variables and self._variables._inventory
        for name in stats.processed if inventory else ():
            host = inventory.get_host(name)
            known = self._variables.get_vars(host=host) if host else {}
            if "klab_seat" in known:
                good = lastrun.Outcome(int(time.time()), ok=True)
                by_class.setdefault(str(known["klab_class"]["state"]), {})[name] = self._failed.get(
                    name, good
                )
        for state, found in by_class.items():
            claim.end(Path(state))
            if self._left_out:
                continue
            failed = lastrun.keep(Path(state), found)
            for line in lastrun.told(Path(state), found, failed):
                self._display.display(line)
