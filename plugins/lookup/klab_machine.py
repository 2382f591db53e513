# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the files of a lab machine are: a shim over klab.machine.model."""

from __future__ import annotations

DOCUMENTATION = r"""
name: klab_machine
short_description: Paths of a lab machine's files on this computer
description:
  - The path of a file in the state folder of a lab machine, whether or not the machine exists yet.
options:
  _terms:
    description: Names of machines.
    type: list
    elements: str
    required: true
  file:
    description: The file's name there.
    type: str
    default: ssh_config
author: klab contributors
"""

EXAMPLES = r"""
- name: Reach a machine with the keys that klab made for it
  ansible.builtin.set_fact:
    ansible_ssh_args: "-F {{ lookup('klab_machine', inventory_hostname) }}"
"""

RETURN = r"""
_raw:
  description: One path for each machine.
  type: list
  elements: str
"""

from ansible.plugins.lookup import LookupBase

from klab.machine import model


class LookupModule(LookupBase):
    """A shim: klab.machine.model knows the folder."""

    def run(self, terms, variables=None, **kwargs) -> list[str]:
        """One path for each machine named."""
        self.set_options(var_options=variables, direct=kwargs)
        return [str(model.machines_dir() / name / self.get_option("file")) for name in terms]
