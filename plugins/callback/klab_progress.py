# SPDX-License-Identifier: GPL-3.0-or-later
"""Show the progress of long klab steps, and how long each stage took."""

from __future__ import annotations

DOCUMENTATION = r"""
name: klab_progress
type: aggregate
short_description: Shows progress lines of klab steps while their task runs
description:
  - Sets E(KLAB_PROGRESS) to a file that klab steps on localhost write to, and prints each line as it comes.
  - Says at the end how long each play took, and writes the same to C(stages.json) in klab's log folder.
author: klab contributors
requirements:
  - enabled in C(callbacks_enabled)
"""

import os
import tempfile
from pathlib import Path

from ansible.plugins.callback import CallbackBase

from klab.stages import Follower, Stages


class CallbackModule(CallbackBase):
    """A shim: klab.stages does the work."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "klab_progress"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        handle, name = tempfile.mkstemp(prefix="klab-progress-")
        os.close(handle)
        # Workers are forked from this process and modules inherit from them.
        os.environ["KLAB_PROGRESS"] = name
        self._follower = Follower(Path(name))
        self._stages = Stages()

    def v2_playbook_on_play_start(self, play) -> None:
        """A play is a stage."""
        self._follower.start()
        self._stages.begin(play.get_name())

    def v2_runner_on_start(self, host, task) -> None:
        """A play without tasks for anyone is not worth a line."""
        self._stages.touch()

    def v2_playbook_on_stats(self, stats) -> None:
        """The end: the last progress lines, then the table of stages."""
        self._follower.stop()
        Path(os.environ["KLAB_PROGRESS"]).unlink(missing_ok=True)
        for line in self._stages.finish():
            self._display.display(line)
