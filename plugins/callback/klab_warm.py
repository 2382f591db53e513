# SPDX-License-Identifier: GPL-3.0-or-later
"""Load once what each of Ansible's workers would load for itself."""

from __future__ import annotations

DOCUMENTATION = r"""
name: klab_warm
type: aggregate
short_description: Loads plugins before workers are forked
description:
  - Ansible forks a worker for each task and host, and each compiles anew the plugins that its process has
    not loaded, the filters among them. Loaded here, once, they are there in all.
author: klab contributors
requirements:
  - enabled in C(callbacks_enabled)
"""

from ansible.plugins import loader
from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):
    """Nothing is told; loading is all."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "klab_warm"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_play_start(self, play) -> None:
        """By now the folders of roles are known, and nothing is forked."""
        for plugins in (loader.filter_loader, loader.test_loader):
            plugins.get("default", class_only=True)  # one brings all
        for plugins, names in (
            (loader.action_loader, ("normal",)),
            (loader.connection_loader, ("ssh", "local")),
            (loader.become_loader, ("sudo",)),
            (loader.lookup_loader, ("file",)),
        ):
            for name in names:
                plugins.get(name, class_only=True)
