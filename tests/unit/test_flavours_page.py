# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of flavours says what the data say."""

import json
from pathlib import Path

import pytest

from fixtures import fakekernels
from klab import docs
from klab.kernel import flavour


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    flavour.read.cache_clear()
    fakekernels.lay_out(tmp_path / "labs/_kernels")
    return tmp_path


def test_each_flavour_and_fragment_has_its_place(repo: Path) -> None:
    page = docs.flavours_page(repo)
    assert "## tiny\n\nBuilds and boots nowhere.\n" in page
    assert "on `allnoconfig`: [base](#fragment-base), [modules](#fragment-modules)" in page
    assert "- command line: `quiet`" in page
    assert "## Fragment torn\n\nIn torn.\n" in page
    assert "`FUSE=m`" in page
    assert "No costs have been measured yet" in page


def test_costs_and_labs_are_shown(repo: Path) -> None:
    costs = repo / "docs/reference/data/kernel_costs.json"
    costs.parent.mkdir(parents=True)
    tiny = {"cpu_s": 600.0, "warm_cpu_s": 60.0, "objects": 500}
    costs.write_text(json.dumps({"command": "c", "machine": "two cores", "flavours": {"tiny": tiny}}))
    for name, kernel in {"one": "[tiny, broken]", "two": "tiny"}.items():
        lab = repo / "labs/module" / name / "lab.yml"
        lab.parent.mkdir(parents=True)
        lab.write_text(f"kernel: {kernel}\n")
    page = docs.flavours_page(repo)
    assert "| [tiny](#tiny) | linux.tar 6.12.0-1 | gcc | 10.0 | 1.0 (10%) | 500 | 2 |" in page
    assert "- labs that rely on it: one, two" in page
    assert "on two cores" in page


def test_conditions_are_told_in_words(repo: Path) -> None:
    (repo / "labs/_kernels/fragments/torn.config").write_text(
        "# Why.\n# min 6.6\n# max 6.11\nCONFIG_A=y\nCONFIG_B=m\n"
        "\n# How.\n# optional: newer kernels have it always\n# CONFIG_C is not set\n"
    )
    page = docs.flavours_page(repo)
    assert "- Why. Only from 6.6 on, up to 6.11.\n  `A` `B=m`\n" in page
    assert "- How. May be dropped: newer kernels have it always\n  `C=n`\n" in page
