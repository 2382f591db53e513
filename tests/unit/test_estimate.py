# SPDX-License-Identifier: GPL-3.0-or-later
"""How many jobs a build gets, and how long it is said to take before it starts."""

import json
import os
from pathlib import Path

import pytest

from fixtures import fakekernels
from klab import store
from klab.kernel import artefact, cached, estimate, flavour, kbuild
from klab.paths import repo_dir
from klab.progress import remember

GIB = 1 << 30


def meminfo(folder: Path, available_kib: int) -> Path:
    path = folder / "meminfo"
    path.write_text(f"MemTotal:       99999999 kB\nMemAvailable:   {available_kib} kB\n")
    return path


@pytest.mark.parametrize(
    ("limit", "bytes_"),
    [(None, 8 * GIB), ("max\n", 8 * GIB), (f"{2 * GIB}\n", 2 * GIB), (f"{99 * GIB}\n", 8 * GIB)],
)
def test_memory_is_what_is_free_or_what_the_cgroup_allows(
    tmp_path: Path, limit: str | None, bytes_: int
) -> None:
    cgroup = tmp_path / "memory.max"
    if limit:
        cgroup.write_text(limit)
    assert kbuild.memory(meminfo(tmp_path, 8 * GIB // 1024), cgroup) == bytes_


@pytest.mark.parametrize(("cores", "gigabytes", "jobs"), [(2, 24, 3), (16, 4, 2), (4, 0.5, 1)])
def test_jobs_by_cores_and_memory(
    monkeypatch: pytest.MonkeyPatch, cores: int, gigabytes: float, jobs: int
) -> None:
    monkeypatch.delenv("KLAB_JOBS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    monkeypatch.setattr(kbuild, "memory", lambda: int(gigabytes * 1e9))
    assert kbuild.jobs() == jobs
    monkeypatch.setenv("KLAB_JOBS", "7")
    assert kbuild.jobs() == 7


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> artefact.Plan:
    kernels = fakekernels.lay_out(tmp_path / "kernels")
    # A checkout of its own: the published costs of this one are not to count.
    (tmp_path / "klab_repo").mkdir()
    (tmp_path / "klab_repo/labs").symlink_to(repo_dir() / "labs")
    for name in ("KLAB_CACHE", "KLAB_STATE", "KLAB_REPO"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    monkeypatch.setenv("KLAB_KERNELS", str(kernels))
    monkeypatch.setenv("KLAB_PROGRESS", str(tmp_path / "said"))
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    flavour.read.cache_clear()
    return artefact.plan("tiny", {"host": "tests"})


def said(tmp_path: Path, plan: artefact.Plan, *, fresh: bool = True) -> tuple[int | None, str]:
    progress = estimate.progress(plan, fresh=fresh, jobs=3)
    return progress.total, (tmp_path / "said").read_text().splitlines()[-1]


def built(flavour_name: str, wall_s: float, objects: int, **cost: object) -> None:
    body = {"flavour": flavour_name, "cost": {"wall_s": wall_s, "objects": objects, "resumed": False, **cost}}
    with store.drafting(cached.KIND, f"{objects:064x}") as draft:
        draft.publish(body, [])


def test_nothing_is_known(tmp_path: Path, plan: artefact.Plan) -> None:
    assert said(tmp_path, plan) == (plan.flavour.objects, "kernel_build tiny: started")


def test_by_the_published_cost_of_an_object(tmp_path: Path, plan: artefact.Plan) -> None:
    costs = tmp_path / "klab_repo" / estimate.COSTS
    costs.parent.mkdir(parents=True)
    costs.write_text(json.dumps({"flavours": {"lab": {"cpu_s": 2400, "objects": 3000}}}))
    # 0.8 s of CPU on two cores, and 8 objects as the flavour says
    assert (
        said(tmp_path, plan)[1]
        == "kernel_build tiny: started, about 3 s (8 objects at 0.40 s, measured elsewhere)"
    )


def test_by_another_flavour_that_was_built_here(tmp_path: Path, plan: artefact.Plan) -> None:
    built("lab", 1500, 3000)
    built("other", 9999, 10, hits=10)  # came from ccache: says nothing
    assert (
        said(tmp_path, plan)[1]
        == "kernel_build tiny: started, about 4 s (8 objects at 0.50 s, measured here)"
    )


def test_by_its_own_past(tmp_path: Path, plan: artefact.Plan) -> None:
    built("tiny", 400, 500)
    estimate.note("tiny", kbuild.Cost(wall_s=400, cpu_s=700, objects=500, resumed=False))
    estimate.note("tiny", kbuild.Cost(wall_s=90, cpu_s=150, objects=500, resumed=False, hits=490))
    total, line = said(tmp_path, plan)
    assert total == 500
    assert line == "kernel_build tiny: started, about 7 min (as past builds of it took)"


def test_a_change_is_not_a_first_build(tmp_path: Path, plan: artefact.Plan) -> None:
    remember(estimate.FIRST, "tiny", 400)
    estimate.note("tiny", kbuild.Cost(wall_s=80, cpu_s=100, objects=3, resumed=True))
    total, line = said(tmp_path, plan, fresh=False)
    assert total is None
    assert line == "kernel_build tiny: started, about 80 s (as past changes of it took)"


CCACHE_LOG = """# /dev/null
direct_cache_hit
local_storage_hit
# /klab/src/kernel/fork.c
cache_miss
direct_cache_miss
local_storage_write
# /klab/src/mm/slub.c
direct_cache_hit
local_storage_hit
# /klab/src/arch/x86/entry/entry_64.S
preprocessed_cache_hit
#\x20
no_input_file
"""


def test_ccache_hits_are_those_of_sources(tmp_path: Path) -> None:
    log = tmp_path / "ccache.log"
    assert kbuild._counts(log) == (0, 0)
    log.write_text(CCACHE_LOG)
    assert kbuild._counts(log) == (2, 1)
