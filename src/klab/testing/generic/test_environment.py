# SPDX-License-Identifier: GPL-3.0-or-later
"""For every lab: what lab.yml claims of kernel and place is so where the lab runs."""

import pytest

from klab import digest as digests
from klab.kernel import artefact
from klab.kernel.resolve import read_config
from klab.testing import expect
from klab.testing import place as places
from klab.testing.guests import Guests
from klab.testing.place import Place
from klab.testing.workbench import Workbench


@pytest.fixture(scope="module")
def place(request: pytest.FixtureRequest, lab: Workbench) -> Place:
    if lab.spec.where == "machine":
        return places.of_machine(request.getfixturevalue("machine"), lab.spec)
    return places.of_guest(Guests(lab.spec), lab.spec)


def test_kernels_are_there(lab: Workbench) -> None:
    for name in (lab.spec.kernel, *lab.spec.sanitize):
        entry = artefact.find(name)
        expect.holds(
            entry is not None,
            f"the kernel {name} is there as it is described now",
            observed="nothing under its digest",
            expected="an artefact",
            look=f"klab kernel build --flavour {name}",
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


def test_symbols(lab: Workbench, place: Place) -> None:
    config = read_config(place.config or lab.kernel().file("config").read_text())
    for name in lab.spec.needs.symbols:
        symbol, _, value = name.removeprefix("CONFIG_").partition("=")
        seen = config.get(symbol, "n")
        expect.holds(
            seen == value if value else seen in {"y", "m"},
            f"the kernel has CONFIG_{symbol}",
            observed=f"CONFIG_{symbol}={seen}",
            expected=value or "y or m",
            look="/proc/config.gz; labs/_kernels/flavours.yml",
        )


def test_command_line(lab: Workbench, place: Place) -> None:
    words = place.cmdline.split()
    for word in lab.spec.needs.cmdline:
        expect.holds(
            word in words,
            f"the command line has {word}",
            observed=place.cmdline,
            expected=word,
            look="/proc/cmdline",
        )


def test_tools_answer(lab: Workbench, place: Place) -> None:
    for tool in lab.spec.needs.tools:
        expect.holds(
            tool in place.tools,
            f"{tool} answers in {place.name}",
            observed=f"{tool} is not there or does not run",
            expected="a program that runs",
            look=f"{tool} --version; roles/toolchain",
        )


def test_devices(lab: Workbench, place: Place) -> None:
    for device in lab.spec.needs.devices:
        expect.holds(
            place.has(device),
            f"the device {device} is in {place.name}",
            observed=f"PCI: {' '.join(place.pci)}",
            expected=device,
            look="lspci -nn",
        )


def test_size(lab: Workbench, place: Place) -> None:
    needs = lab.spec.needs
    expect.holds(
        place.cpus >= (needs.cpus or 1) and place.memory >= (needs.memory or 0) * 0.8,
        f"{place.name} is big enough",
        observed=f"{place.cpus} CPUs, {place.memory} MiB",
        expected=f"{needs.cpus or 1} CPUs, about {needs.memory or 0} MiB",
        look=f"{lab.spec.folder}/lab.yml",
    )


def test_files_are_staged(lab: Workbench) -> None:
    for name in lab.spec.workspace:
        expect.holds(
            (lab.workspace / name).exists(),
            f"{name} is staged",
            observed="nothing of that name",
            expected="a file",
            look=f"{lab.spec.folder}/starter",
        )
