#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a klab verb as an Ansible task: a shim over `klab … --json`."""

from __future__ import annotations

DOCUMENTATION = r"""
module: klab
short_description: Run a klab verb
description:
  - Runs C(klab VERB… --json) with the Python that runs this module and hands over what the verb reports.
  - In check mode the verb gets C(--check); it says what it would do and changes nothing.
options:
  verb:
    description: The words of the verb, for example V(kernel build).
    type: str
    required: true
  args:
    description: Options of the verb; a list repeats its option, true is a flag, null and false are left out.
    type: dict
    default: {}
  changes:
    description: Whether the verb can change anything; a verb that only reads takes no C(--check).
    type: bool
    default: true
author: klab contributors
"""

EXAMPLES = r"""
- name: Build the kernel of flavour lab unless it is in the cache
  klab:
    verb: kernel build
    args:
      flavour: lab
"""

RETURN = r"""
changed:
  description: Whether the verb changed (or, in check mode, would change) anything.
  type: bool
  returned: always
"""

import json
import subprocess
import sys

from ansible.module_utils.basic import AnsibleModule


def options(args: dict) -> list[str]:
    """The verb's options as command-line words."""
    words = []
    for name, value in args.items():
        flag = "--" + name.replace("_", "-")
        for item in value if isinstance(value, list) else [value]:
            if item is True:
                words.append(flag)
            elif item is not None and item is not False:
                words += [flag, str(item)]
    return words


def main() -> None:
    """Run the verb; its JSON becomes the task's result."""
    module = AnsibleModule(
        argument_spec={
            "verb": {"type": "str", "required": True},
            "args": {"type": "dict", "default": {}},
            "changes": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    command = [sys.executable, "-m", "klab", *module.params["verb"].split(), "--json"]
    command += options(module.params["args"])
    if module.check_mode and module.params["changes"]:
        command.append("--check")
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    try:
        result = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        said = (done.stderr or done.stdout).strip()
        module.fail_json(msg=f"{' '.join(command)} ended with {done.returncode}: {said}")
    if result.get("failed"):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
