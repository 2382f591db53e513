# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab's own tasks, run by Ansible on a machine of this computer, without an inventory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from klab import catalogue
from klab.errors import KlabError
from klab.machine.model import Reachable
from klab.paths import log_dir, repo_dir
from klab.run import tail

DEADLINE_S = 300.0


def run(machine: Reachable, lab: catalogue.Lab, verb: str) -> None:
    """Run labs/<lab>/tasks/<verb>.yml. Raises KlabError with the end of Ansible's words."""
    log = log_dir() / f"lab-{machine.name}-{lab.name}-{verb}.log"
    given = {
        "lab_id": lab.id,
        "lab_tasks_verb": verb,
        "ansible_ssh_args": f"-F {machine.ssh_config}",
        "ansible_become": True,
        "ansible_python_interpreter": "/usr/bin/python3",
    }
    argv = [str(Path(sys.executable).with_name("ansible-playbook")), "playbooks/lab_own.yml"]
    argv += ["-i", f"{machine.name},", "-e", json.dumps(given)]
    env = {
        **os.environ,
        "ANSIBLE_CONFIG": str(repo_dir() / "ansible.cfg"),
        "ANSIBLE_ROLES_PATH": f"{repo_dir() / 'roles'}:{lab.folder.parents[1]}",
        "LC_ALL": "C.UTF-8",
    }
    with log.open("wb") as out:
        try:
            code = subprocess.run(
                argv,
                cwd=repo_dir(),
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                check=False,
                timeout=DEADLINE_S,
            ).returncode
        except subprocess.TimeoutExpired:
            code = 124
    if code:
        raise KlabError(
            f"the lab's own tasks ended with {code}:\n{tail(log)}",
            step=f"lab: {verb} {lab.id}",
            machine=machine.name,
            log=log,
            mend=f"read the log; klab {verb} {lab.name} does it again",
        )
