# SPDX-License-Identifier: GPL-3.0-or-later
"""For every lab with `sanitize`: its modules, loaded and unloaded once where the kernel looks on."""

import re
from pathlib import Path

import pytest

from klab.testing import expect
from klab.testing.guests import LEAKS, Guests
from klab.testing.lab import chosen
from klab.testing.observe import RECORDER
from klab.testing.workbench import Workbench

DEADLINE_S = 420.0  # kernels with sanitizers are several times slower
# kmemleak reports what nobody points to any more, when it is older than five seconds and has not
# changed since the scan before: two scans, and the first may be meanwhile. Both walk through all
# that is allocated; the modules are gone by then, and proving the scan's own locks costs a third.
SCRIPT = """
for m in {load}; do insmod /klab/sanitize/$m.ko || {{ echo "insmod $m failed"; exit 1; }}; done
for m in {unload}; do rmmod $m || {{ echo "rmmod $m failed"; exit 1; }}; done
mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null
k=/sys/kernel/debug/kmemleak
[ -e $k ] || exit 0
for f in prove_locking lock_stat; do [ ! -e /proc/sys/kernel/$f ] || echo 0 >/proc/sys/kernel/$f; done
sleep 6 &
echo scan >$k && wait && echo scan >$k || exit 2
head -n 12 $k >/dev/console
"""
NO_SCAN = 2  # exit status of SCRIPT
DEPENDS = re.compile(rb"\0depends=([^\0]*)\0")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    params = [pytest.param(n, marks=pytest.mark.flavour(n)) for n in chosen(metafunc.config).sanitize]
    metafunc.parametrize("flavour", params)


def in_order(modules: dict[str, Path]) -> list[str]:
    """The modules' names, each behind those among them that it needs."""
    needs = {}
    for name, path in modules.items():
        found = DEPENDS.search(path.read_bytes())
        listed = found[1].decode().replace("-", "_").split(",") if found else []
        needs[name] = {other for other in listed if other in modules}
    ordered: list[str] = []
    while rest := sorted(set(modules) - set(ordered)):
        ready = [name for name in rest if needs[name] <= set(ordered)]
        ordered += ready or rest
    return ordered


def test_modules_are_silent(lab: Workbench, guest: Guests, flavour: str) -> None:
    if not RECORDER.good:
        # What is not right yet need not be looked at for minutes.
        expect.cannot_tell(f"whether it is silent under {flavour} is looked at when all else passes")
    built = lab.make(kernel=flavour)
    modules = {path.stem.replace("-", "_"): path for path in sorted(built.folder.rglob("*.ko"))}
    expect.holds(
        bool(modules),
        f"there are modules to load under {flavour}",
        observed="no .ko after make",
        expected="at least one",
        look="Makefile",
    )
    order = in_order(modules)
    ran = guest(
        SCRIPT.format(load=" ".join(order), unload=" ".join(reversed(order))),
        kernel=flavour,
        files={f"klab/sanitize/{name}.ko": path for name, path in modules.items()},
        deadline_s=DEADLINE_S,
        **LEAKS,
    )
    if ran.status == NO_SCAN:
        expect.cannot_tell(f"whether memory leaks: kmemleak does not answer under {flavour}")
    expect.holds(
        ran.status == 0,
        f"{', '.join(order)}: loaded and unloaded under {flavour}, in silence",
        observed=ran.output.decode(errors="replace"),
        expected="insmod and rmmod succeed",
        look="your init and exit functions",
    )
