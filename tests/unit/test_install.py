# SPDX-License-Identifier: GPL-3.0-or-later
"""What `klab boot` hands to the playbook that installs a kernel is all that its role asks for."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from klab.machine import install
from klab.paths import repo_dir


def test_each_input_has_a_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = yaml.safe_load((repo_dir() / install.PLAYBOOK).read_text())[0]["tasks"]
    (role,) = [task for task in tasks if "ansible.builtin.include_role" in task]
    asked = sorted(role["vars"])
    # The role's place is taken by one that only says what it was given.
    given = {name: f"{{{{ {name} }}}}" for name in asked}
    stand_in = tmp_path / "roles/kernel_install/tasks/main.yml"
    stand_in.parent.mkdir(parents=True)
    copied = {"ansible.builtin.copy": {"dest": str(tmp_path / "given"), "content": given, "mode": "0600"}}
    stand_in.write_text(yaml.safe_dump([{"name": "Say it", **copied}]))
    facts = {"release": "6.12.0-klab", "digest": "d" * 64, "path": "/cache", "packages": ["a.deb"]}
    monkeypatch.setattr(install, "describe", lambda _: facts)
    (tmp_path / "hosts").write_text("[lab_machines]\nhere ansible_connection=local\n")
    ran = subprocess.run(
        [
            Path(sys.executable).with_name("ansible-playbook"),
            install.PLAYBOOK,
            f"--inventory={install.INVENTORY}",
            f"--inventory={tmp_path / 'hosts'}",
            "--limit=here",
            f"--extra-vars={json.dumps(install.variables(None))}",
        ],
        check=False,
        cwd=repo_dir(),
        env={**os.environ, "ANSIBLE_ROLES_PATH": str(tmp_path / "roles")},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout[-1500:]
    seen = json.loads((tmp_path / "given").read_text())
    assert seen["kernel_install_release"] == "6.12.0-klab"
    assert seen["kernel_install_packages"] == ["a.deb"]
    assert sorted(seen) == asked
