# SPDX-License-Identifier: GPL-3.0-or-later
"""What the checks of a machine share: its facts in one round trip, and our sources on it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from klab.kernel import artefact as artefacts
from klab.paths import repo_dir
from klab.store import Entry
from klab.testing import expect
from klab.testing.machines import Machine

SOURCES = Path(__file__).parent / "src"
PATHS = [
    "/sys/kernel/btf/vmlinux",
    "/sys/kernel/sched_ext/state",
    "/sys/module/kgdboc",
    "/home/student/labs",
]


def _role(part: str) -> dict[str, Any]:
    return dict(yaml.safe_load((repo_dir() / "roles/lab_machine" / part / "main.yml").read_text()))


@pytest.fixture(scope="session")
def settings() -> dict[str, Any]:
    """How role lab_machine sets a machine up, from the role itself: its defaults, and the
    kernel settings by name."""
    listed = _role("vars")["__lab_machine_sysctls"]
    return {**_role("defaults"), "sysctls": {name: str(body["value"]) for name, body in listed.items()}}


@pytest.fixture(scope="session")
def facts(machine: Machine, settings: dict[str, Any]) -> dict[str, Any]:
    """Everything cheap to know about the machine, asked once."""
    asked = {"paths": PATHS, "sysctls": list(settings["sysctls"])}
    return dict(machine.ask(SOURCES / "facts.py", json.dumps(asked)))


@pytest.fixture(scope="session")
def current_kernel(artefact: Entry) -> Entry:
    """The kernel that this checkout builds for the machine's flavour."""
    return expect.or_fail(artefacts.get, artefact.manifest["flavour"])


@pytest.fixture(scope="session")
def workshop(machine: Machine) -> Iterator[str]:
    """A folder on the machine with tests/machine/src in it, gone afterwards."""
    folder = machine.output("mktemp -d /tmp/klab-proof-XXXXXX").strip()
    machine.send(SOURCES, folder)
    yield folder
    machine.run("rm -rf %s", folder, root=True)


@pytest.fixture(scope="session")
def vmlinux(facts: dict[str, Any]) -> str:
    """Where the running kernel's vmlinux lies on the machine, for debuggers."""
    return f"/usr/lib/debug/lib/modules/{facts['release']}/vmlinux"
