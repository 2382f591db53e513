# SPDX-License-Identifier: GPL-3.0-or-later
"""For every lab: what lab.yml claims of kernel and place is so where the lab runs."""

from collections.abc import Callable

import pytest

from klab import digest as digests
from klab.catalogue import Lab
from klab.kernel import artefact
from klab.kernel.dotconfig import read_config
from klab.testing import expect
from klab.testing import place as places
from klab.testing.guests import Guests
from klab.testing.lab import chosen
from klab.testing.place import Place
from klab.testing.workbench import Workbench

# The kernel keeps a part of the memory for itself; KASAN's shadow alone takes an eighth of it.
LEFT = 0.7
Check = Callable[[Workbench, Place, str], None]


def symbol(lab: Workbench, place: Place, name: str) -> None:
    config = read_config(place.config or lab.kernel().file("config").read_text())
    seen = config.get(name, "n")
    expect.holds(
        seen in {"y", "m"},
        f"the kernel has CONFIG_{name}",
        observed=f"CONFIG_{name}={seen}",
        expected="y or m",
        look="/proc/config.gz; labs/_kernels/flavours.yml",
    )


def word(lab: Workbench, place: Place, name: str) -> None:
    expect.holds(
        name in place.cmdline.split(),
        f"the command line has {name}",
        observed=place.cmdline,
        expected=name,
        look="/proc/cmdline",
    )


def tool(lab: Workbench, place: Place, name: str) -> None:
    expect.holds(
        name in place.tools,
        f"{name} answers in {place.name}",
        observed=f"{name} is not there or does not run",
        expected="a program that runs",
        look=f"{name} --version; roles/toolchain",
    )


def device(lab: Workbench, place: Place, name: str) -> None:
    expect.holds(
        place.has(name),
        f"the device {name} is in {place.name}",
        observed=", ".join(f"{place.devices.count(kind)} {kind}" for kind in sorted(set(place.devices))),
        expected=name,
        look="lspci -nn; src/klab/testing/place.py",
    )


def staged(lab: Workbench, place: Place, name: str) -> None:
    expect.holds(
        (lab.workspace / name).exists(),
        f"{name} is staged",
        observed="nothing of that name",
        expected="a file",
        look=f"{lab.spec.folder}/starter",
    )


def claims(lab: Lab) -> list[tuple[Check, str]]:
    """What lab.yml says, one by one."""
    said: list[tuple[Check, tuple[str, ...]]] = [
        (symbol, lab.needs.symbols),
        (word, lab.needs.cmdline),
        (tool, lab.needs.tools),
        (device, lab.needs.devices),
        (staged, lab.workspace),
    ]
    return [(check, name) for check, names in said for name in names]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "claim" in metafunc.fixturenames:
        metafunc.parametrize("claim", claims(chosen(metafunc.config)))
    if "flavour" in metafunc.fixturenames:
        metafunc.parametrize("flavour", chosen(metafunc.config).flavours)


@pytest.fixture(scope="module")
def place(request: pytest.FixtureRequest, lab: Workbench) -> Place:
    if lab.spec.where == "machine":
        return places.of_machine(request.getfixturevalue("machine"), lab.spec)
    return places.of_guest(Guests(lab.spec), lab.spec)


def test_kernel_is_there(flavour: str) -> None:
    expect.holds(
        artefact.find(flavour) is not None,
        f"the kernel {flavour} is there as it is described now",
        observed="nothing under its digest",
        expected="an artefact",
        look=f"klab kernel build --flavour {flavour}",
    )


def test_that_kernel_runs(lab: Workbench, place: Place) -> None:
    entry = lab.kernel()
    fetched = entry.manifest.get("uname_v")
    expect.equal(
        place.version if fetched else place.version.split()[0],
        fetched or f"#{digests.short(entry.digest)}",
        f"the kernel that runs in {place.name} is the {lab.spec.kernel} of the cache",
        look=f"uname -v; {entry.path}/manifest.json",
    )


def test_size(lab: Workbench, place: Place) -> None:
    cpus, memory = lab.spec.needs.cpus or 1, lab.spec.needs.memory or 0
    expect.holds(
        place.cpus >= cpus and place.memory >= memory * LEFT,
        f"{place.name} is big enough",
        observed=f"{place.cpus} CPUs, {place.memory} MiB",
        expected=f"{cpus} CPUs, {memory} MiB",
        look=f"{lab.spec.folder}/lab.yml",
    )


def test_claim(lab: Workbench, place: Place, claim: tuple[Check, str]) -> None:
    check, name = claim
    check(lab, place, name)
