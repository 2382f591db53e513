# SPDX-License-Identifier: GPL-3.0-or-later
"""Flame graphs by what Debian packages alone: whole stacks, on and off the processor, and of memory.

The machine's image draws them in a guest of kernel `lab`, of programs that know where they are.
"""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

import pytest

from klab import accel, sandbox
from klab.guest import initramfs, runner
from klab.kernel import artefact
from klab.paths import repo_dir
from klab.testing import expect

PLACE = Path(__file__).parents[1] / "fixtures/profiles"
KEPT = repo_dir() / "results/local/profiles"
COMPILE = (
    "gcc -O2 -g -o sort sort.c && gcc -O2 -g -fno-omit-frame-pointer -o sort-fp sort.c"
    " && g++ -O2 -g -o thread thread.cc"
    " && for n in leak sleep waits; do gcc -O2 -g -fno-omit-frame-pointer -o $n $n.c; done"
)
MOST = 0.8  # of what was counted
LEAKED = 200 * 1000  # bytes, in leak.c
NAP_US = 20_000  # in sleep.c
LONG_US = 1 << 15  # in waits.c some take longer, the others not a tenth of it
UNLUCKY = 20  # of its 200 waits, so many may take long since others were at work
# Who calls whom, with libc or a library between some of them.
CHAINS = {
    "c": ("main", "klab_sorts", "qsort", "klab_hot"),
    "cc": ("start_thread", "klab::Worker::turns", "klab::Worker::hot"),
    "py": ("py::klab_turns", "py::klab_hot"),
    "off": ("main", "klab_waits"),
}


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """What a day of profiling left, by name."""
    folder = tmp_path_factory.mktemp("profiles") / "work"
    shutil.copytree(PLACE, folder)
    said = sandbox.run(["sh", "-ec", COMPILE], folder=folder)
    assert said.code == 0, said.err
    files = initramfs.contents({f"klab/{path.name}": path for path in folder.iterdir()})
    ran = runner.run(
        artefact.get("lab").file("bzImage"), ["bash /klab/day.sh"], which=accel.probe().accel, memory=1024,
        cpus=2, files=files, base="debian", deadline_s=400,
    )  # fmt: skip
    assert ran.status == 0, ran.output.decode()
    # To look at; the guide's pictures are from there.
    shutil.rmtree(KEPT, ignore_errors=True)
    KEPT.mkdir(parents=True)
    for name, data in ran.results.items():
        (KEPT / name).write_bytes(data)
    return {name: data.decode(errors="replace") for name, data in ran.results.items()}


def folded(left: Mapping[str, str], name: str) -> dict[str, int]:
    """{stack: count}"""
    lines = [line.rpartition(" ") for line in left.get(f"{name}.folded", "").splitlines()]
    return {stack: int(count) for stack, _, count in lines}


def in_order(stack: str, chain: tuple[str, ...]) -> bool:
    """Whether these functions call each other there, with others between."""
    return bool(re.search(".*;[^;]*".join(re.escape(name) for name in chain), stack))


@pytest.mark.parametrize("name", CHAINS)
def test_stacks_are_whole(left: Mapping[str, str], name: str) -> None:
    stacks = {stack: count for stack, count in folded(left, name).items() if CHAINS[name][-1] in stack}
    whole = sum(count for stack, count in stacks.items() if in_order(stack, CHAINS[name]))
    expect.holds(
        whole >= MOST * sum(stacks.values()) > 0,
        f"most stacks of the hot function go back to the beginning ({name})",
        observed=f"{whole} of {sum(stacks.values())}; {sorted(stacks.items(), key=lambda s: -s[1])[:3]}",
        expected=f"{MOST:.0%} with {' > '.join(CHAINS[name])}",
        look=left.get("errors", "")[-500:],
    )


@pytest.mark.parametrize("name", ["c", "fp", "cc", "py", "diff", "off", "leak"])
def test_pictures_show_what_was_counted(left: Mapping[str, str], name: str) -> None:
    hot = {"off": "klab_waits", "leak": "klab_leaks", "cc": "klab::Worker::hot"}.get(name, "klab_hot")
    picture = ElementTree.fromstring(left[f"{name}.svg"])  # noqa: S314 - drawn by our own guest
    titles = [each.text or "" for each in picture.iter("{http://www.w3.org/2000/svg}title")]
    shown = [
        float(found[1]) for title in titles if hot in title and (found := re.search(r"([\d.]+)%", title))
    ]
    expect.holds(
        bool(shown) and sum(shown) > 100 * MOST / 2,
        f"{name}.svg shows {hot}",
        observed=titles[:20],
        expected=f"frames of most of the width: {shown}",
        look=left.get("errors", "")[-500:],
    )


def test_difference(left: Mapping[str, str]) -> None:
    rows = [line.rsplit(" ", 2) for line in left["diff.folded"].splitlines()]
    was, now = (sum(int(row[column]) for row in rows) for column in (1, 2))
    assert was > 1.5 * now > 0, f"three times as many turns, and {was} samples instead of {now}"


def test_time_off_the_processor_is_the_programs_own(left: Mapping[str, str]) -> None:
    stacks = folded(left, "off")
    waited = sum(count for stack, count in stacks.items() if "klab_waits" in stack)
    assert waited >= max(10 * NAP_US, MOST * sum(stacks.values())), left["off.txt"]


def test_waits_that_an_average_hides(left: Mapping[str, str]) -> None:
    """A histogram shows two kinds of waits, a heat map since when there are two."""
    said = re.search(r"^long (\d+) since (\d+)$", left["waits.txt"], re.M)
    assert said, left["waits.txt"] + left.get("errors", "")
    count, since = map(int, said.groups())
    bars = [tuple(map(int, line.split())) for line in left["hist.data"].splitlines()]
    cells = [tuple(map(int, line.split())) for line in left["heat.data"].splitlines()]
    assert sum(bar[1] for bar in bars) == sum(cell[2] for cell in cells)
    assert count <= sum(times for us, times in bars if us >= LONG_US) <= count + UNLUCKY, bars
    early = sum(times for ms, power, times in cells if 1 << power >= LONG_US and ms + 200 <= since)
    assert early <= UNLUCKY, (since, cells)
    for name, rows in (("hist", bars), ("heat", cells)):
        picture = ElementTree.fromstring(left[f"{name}.svg"])  # noqa: S314 - drawn by our own guest
        shapes = [*picture.iter("{http://www.w3.org/2000/svg}polygon")]
        assert len(shapes) >= len(rows) > 1, f"{name}.svg has {len(shapes)} shapes for {len(rows)} rows"


def test_what_leaks_is_told_from_what_is_given_back(left: Mapping[str, str]) -> None:
    stacks = folded(left, "leak")
    lost = sum(count for stack, count in stacks.items() if "klab_leaks" in stack)
    assert lost == LEAKED, stacks
    assert not any(count for stack, count in stacks.items() if "klab_gives_back" in stack), stacks
