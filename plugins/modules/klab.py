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

# No AnsibleModule, as in klab_files: what comes with it takes longer than the call. Ansible calls this kind a
# module with JSON arguments.
import json
import subprocess
import sys

DEFAULTS = {"verb": "", "args": {}, "changes": True}


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


def run(given: dict) -> dict:
    """Run the verb; its JSON is the task's result."""
    said = {name: value for name, value in given.items() if not name.startswith("_ansible_")}
    if wrong := [name for name in said if name not in DEFAULTS]:
        return {"failed": True, "msg": f"no such option: {wrong[0]}"}
    asked = {**DEFAULTS, **{name: value for name, value in said.items() if value is not None}}
    if not asked["verb"] or not isinstance(asked["args"], dict):
        return {"failed": True, "msg": "verb is wanted, and args is a dictionary"}
    command = [sys.executable, "-m", "klab", *asked["verb"].split(), "--json", *options(asked["args"])]
    if given.get("_ansible_check_mode") and asked["changes"]:
        command.append("--check")
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    try:
        return dict(json.loads(done.stdout.splitlines()[-1]))
    except (ValueError, IndexError):
        why = (done.stderr or done.stdout).strip()
        return {"failed": True, "msg": f"{' '.join(command)} ended with {done.returncode}: {why}"}


def main() -> None:
    """Answer Ansible."""
    # Ansible puts the arguments here, as JSON, because of this marker: <<INCLUDE_ANSIBLE_MODULE_JSON_ARGS>>
    said = run(json.loads("<<INCLUDE_ANSIBLE_MODULE_COMPLEX_ARGS>>"))
    print(json.dumps(said))
    sys.exit(1 if said.get("failed") else 0)


if __name__ == "__main__":
    main()
