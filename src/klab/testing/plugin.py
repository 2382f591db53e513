# SPDX-License-Identifier: GPL-3.0-or-later
"""klab's pytest plugin: `machine` and `artefact`, one run of a test for each machine.

    pytest tests/machine                              all of inventories/single
    pytest tests/machine --klab-machine lab1          one machine by name
    pytest tests/machine -n 4 --dist loadgroup        each machine on a worker of its own
    pytest tests/flavours --klab-flavour lab          what kernels promise, in guests of them
    pytest tests/machine --junitxml report.xml        machine and digests as properties

Graders of labs have more fixtures: see klab.testing.lab.

A machine that cannot be reached is an error of each of its tests, never a skip.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from klab.errors import KlabError
from klab.testing import expect

if TYPE_CHECKING:
    from klab import store
    from klab.testing.machines import Machine

pytest_plugins = ["klab.testing.lab"]
INVENTORY = "inventories/single"
_names = pytest.StashKey[list[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of klab."""
    group = parser.getgroup("klab", "klab: lab machines")
    group.addoption(
        "--klab-inventory",
        default=INVENTORY,
        metavar="PATH",
        help=f"Ansible inventory whose group lab_machines is tested (default: {INVENTORY}).",
    )
    group.addoption(
        "--klab-machine",
        action="append",
        default=[],
        metavar="NAME",
        help="Test this machine instead of the inventory's; may be repeated.",
    )
    group.addoption(
        "--klab-flavour",
        action="append",
        default=[],
        metavar="NAME",
        help="Prove this flavour's promises instead of all flavours'; may be repeated.",
    )


def _machine_names(config: pytest.Config) -> list[str]:
    """The machines of this run; the inventory is read when the first test wants one."""
    if _names not in config.stash:
        # Imported late: pytest loads this plugin for unit tests too.
        from klab.testing import machines

        try:
            chosen = config.getoption("klab_machine") or machines.names(config.getoption("klab_inventory"))
        except KlabError as error:
            raise pytest.UsageError(str(error)) from None
        config.stash[_names] = list(dict.fromkeys(chosen))
    return config.stash[_names]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test that wants a machine once for each."""
    if "machine" not in metafunc.fixturenames:
        return
    grouped = metafunc.config.pluginmanager.hasplugin("xdist")
    params: list[Any] = [
        pytest.param(name, id=name, marks=[pytest.mark.xdist_group(name)] if grouped else [])
        for name in _machine_names(metafunc.config)
    ]
    metafunc.parametrize("machine", params, indirect=True, scope="session")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say in each report which machine and artefacts it is about."""
    for item in items:
        spec = getattr(item, "callspec", None)
        if spec and "machine" in spec.params:
            from klab.testing import machines

            item.user_properties += machines.junit_properties(spec.params["machine"])


@pytest.fixture(scope="session")
def machine(request: pytest.FixtureRequest) -> Machine:
    """A lab machine that answers over ssh."""
    from klab.testing import machines

    # Asked for by name while a test runs, it has no parameter: then it is the first.
    name = getattr(request, "param", "") or _machine_names(request.config)[0]
    return expect.or_fail(machines.reach, name)


@pytest.fixture(scope="session")
def artefact(machine: Machine) -> store.Entry:
    """The kernel that the machine must run: its cache entry with the manifest."""
    from klab.testing import machines

    return expect.or_fail(machines.kernel_of, machine.name)
