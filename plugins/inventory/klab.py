# SPDX-License-Identifier: GPL-3.0-or-later
"""A class as an inventory: a shim over klab.classroom.inventory."""

from __future__ import annotations

DOCUMENTATION = r"""
name: klab
short_description: A class from its roster and its definition
description:
  - Reads a C(klab.yml), and the roster that it names, and makes a host of each seat.
  - Makes the groups C(control), C(builders), C(hypervisors), C(lab_machines), C(seats) in it, and one for
    each group of the roster.
options:
  plugin:
    description: Says that a file is for this plugin.
    type: str
    required: true
    choices: [klab]
author: klab contributors
"""

EXAMPLES = r"""
plugin: klab
class: kernel-2026
roster: roster.csv
labs: [path:observability]
hypervisors:
  localhost: {provider: qemu}
"""

from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin

from klab.classroom import definition, inventory
from klab.errors import KlabError


class InventoryModule(BaseInventoryPlugin):
    """A shim: klab.classroom knows the class."""

    NAME = "klab"

    def verify_file(self, path: str) -> bool:
        """Whether the file may be a class: by its name."""
        return super().verify_file(path) and path.endswith(("klab.yml", "klab.yaml"))

    def parse(self, inventory, loader, path, cache=True) -> None:
        """Fill the inventory with the class."""
        super().parse(inventory, loader, path, cache)
        try:
            fill(inventory, path)
        except KlabError as error:
            raise AnsibleParserError(str(error)) from None


def fill(into, path: str) -> None:
    """Add the class's groups, hosts and variables."""
    class_ = definition.load(path)
    groups = inventory.groups(class_)
    for group in groups:
        into.add_group(group)
    for group, children in groups.items():
        for child in children:
            into.add_child(group, child)
    into.set_variable("all", "klab_class", inventory.variables(class_))
    for host in inventory.hosts(class_):
        into.add_host(host.name)
        for group in host.groups:
            into.add_child(group, host.name)
        for name, value in host.variables.items():
            into.set_variable(host.name, name, value)
