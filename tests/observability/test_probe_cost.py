# SPDX-License-Identifier: GPL-3.0-or-later
"""The harness of labs/_bench measures in the right order, counts each run, and leaves nothing attached.

Emulation makes times meaningless: only order and counts are judged.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from klab import accel, sandbox
from klab.catalogue import labs_dir
from klab.guest import initramfs, runner
from klab.kernel import artefact

CALLS = 250
NOISE = 0.8  # of what should be less, at least
SCRIPT = f"""
cd /klab
attached() {{ bpftool -j prog show; bpftool -j link show; }}
attached >out/before
./probe_cost --json -r 10 -n {CALLS} -o probe_cost.bpf.o -p ring >out/measured || exit
attached >out/after
./probe_cost -r 100000 >out/table & harness=$!
while ! bpftool link show | grep -q tracing; do sleep 0.2; kill -0 $harness || exit; done
kill -INT $harness; wait $harness; echo $? >out/interrupted
attached >out/later
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the harness in it, built."""
    folder = tmp_path_factory.mktemp("bench") / "work"
    shutil.copytree(labs_dir() / "_bench", folder)
    said = sandbox.run(["make"], folder=folder, toolchain="bpf", deadline_s=sandbox.MAKE_S)
    assert said.code == 0, said.err
    return folder


@pytest.fixture(scope="module")
def left(built: Path) -> dict[str, bytes]:
    """What one guest has left."""
    ran = runner.run(
        artefact.get("lab").file("bzImage"), [SCRIPT], which=accel.probe().accel, base="debian", memory=1024,
        files={
            f"klab/{name}": (initramfs.PROGRAM, (built / name).read_bytes())
            for name in ("probe_cost", "probe_cost.bpf.o")
        },
        deadline_s=240,
    )  # fmt: skip
    assert ran.status == 0, ran.output
    return dict(ran.results)


@pytest.fixture(scope="module")
def measured(left: dict[str, bytes]) -> dict[str, Any]:
    return json.loads(left["measured"])


def test_each_call_is_a_run(measured: dict[str, Any]) -> None:
    none, *probes = measured["programs"]
    assert (none["calls"], none["runs"]) == (0, 0)
    assert {each["name"]: (each["calls"], each["runs"], each["misses"]) for each in probes} == dict.fromkeys(
        ["empty", "map", "ring", "probe_cost.bpf.o:ring"], (CALLS, CALLS, 0)
    )


def test_what_programs_say_agrees(measured: dict[str, Any]) -> None:
    programs = {each["name"]: each for each in measured["programs"]}
    assert measured["counted"] == programs["map"]["all_calls"]
    assert measured["dropped"] == 0
    for name in ("ring", "probe_cost.bpf.o:ring"):
        assert programs[name]["records"] == programs[name]["all_calls"], name
    assert programs["empty"]["records"] == 0


def test_order(measured: dict[str, Any]) -> None:
    # A loaded computer disturbs most batches by far more than a probe costs, but not the fastest ones.
    ns = {each["name"]: each["least"] for each in measured["programs"]}
    assert ns["none"] * NOISE < ns["empty"], ns
    assert ns["empty"] * NOISE < ns["map"], ns
    assert ns["map"] * NOISE < ns["ring"], ns
    assert ns["none"] < ns["ring"], ns


def test_numbers_agree(measured: dict[str, Any]) -> None:
    first = measured["programs"][0]["ns"]
    for each in measured["programs"]:
        assert each["events_per_s"] == pytest.approx(1e9 / each["ns"], rel=0.01)
        assert each["ratio"] == pytest.approx(each["ns"] / first, rel=0.01)
        assert min(each["batches"]) == each["least"] <= each["ns"] <= max(each["batches"])
        assert len(each["batches"]) == 10 * 40


def test_nothing_stays_attached(left: dict[str, bytes]) -> None:
    assert left["after"] == left["before"]
    assert (left["interrupted"].strip(), left["table"]) == (b"130", b"")
    assert left["later"] == left["before"]
