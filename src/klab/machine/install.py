# SPDX-License-Identifier: GPL-3.0-or-later
"""Install a kernel on a machine of this computer: role kernel_install, over ssh."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from klab import run, store
from klab.errors import KlabError
from klab.kernel import cached
from klab.kernel.build import describe
from klab.machine.model import Machine
from klab.paths import log_dir, repo_dir

STEP = "boot: install the kernel"
PLAYBOOK = "playbooks/kernel_install.yml"
GREETING_S = 60  # an emulated machine on a loaded host takes its time to greet
INVENTORY = "inventories/single"  # how machines of this computer are reached


def variables(entry: store.Entry) -> dict[str, object]:
    """The role's variables for an artefact."""
    facts = describe(entry)
    return {
        "kernel_install_release": facts["release"],
        "kernel_install_digest": facts["digest"],
        "kernel_install_path": facts["path"],
        "kernel_install_packages": facts["packages"],
        # The hypervisor holds the running kernel's bzImage: that is the way back.
        "kernel_install_replace_running": True,
    }


def on(machine: Machine, digest: str) -> None:
    """Install the cached kernel of that digest on a machine that answers.

    Raises KlabError with the log when the cache no longer holds it or the role fails.
    """
    entry = store.find(cached.KIND, digest)
    if entry is None:
        raise KlabError(
            f"the kernel {digest} is not in the cache any more",
            step=STEP,
            machine=machine.name,
            mend="klab kernel build",
        )
    # It may be in no inventory: then the group's variables tell how it is reached all the same.
    hosts = machine.file("inventory.ini")
    hosts.write_text(f"# made by klab\n[lab_machines]\n{machine.name}\n")
    run.logged(
        [
            Path(sys.executable).with_name("ansible-playbook"),
            PLAYBOOK,
            f"--inventory={INVENTORY}",
            f"--inventory={hosts}",
            f"--limit={machine.name}",
            f"--extra-vars={json.dumps(variables(entry))}",
        ],
        log=log_dir() / f"kernel_install-{machine.name}.log",
        step=STEP,
        cwd=repo_dir(),
        env={
            "ANSIBLE_CONFIG": str(repo_dir() / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_TIMEOUT": str(GREETING_S),
            "LC_ALL": "C.UTF-8",
        },
    )
