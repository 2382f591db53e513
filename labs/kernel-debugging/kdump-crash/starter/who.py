# SPDX-License-Identifier: GPL-3.0-or-later
"""Says who broke the kernel: run by `klab dump drgn -- -s office.ko who.py` on a dump of it."""

import json

from drgn.helpers.linux.list import list_for_each_entry  # noqa: F401 - for you to use

answer = {
    "owner": None,  # pid of who holds the lock
    "waiters": [],  # pids of those that wait for it, sorted
    "order": None,  # number of the order that was damaged
    "crashed": None,  # pid of who made the kernel crash
    "by": None,  # the module's innermost function in its call chain
}
# TODO
print(json.dumps(answer))
