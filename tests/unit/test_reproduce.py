# SPDX-License-Identifier: GPL-3.0-or-later
"""Two builds are compared byte for byte, and a difference is told down to its place."""

import json
import os
from pathlib import Path

import pytest

from conftest import Sandbox
from klab import digest
from klab.kernel import compare, root

HOST = root.Toolroot(None)
VERIFY = ("kernel", "verify-reproducible", "--flavour", "tiny")


def test_two_builds_and_the_cached_artefact_are_the_same(sandbox: Sandbox) -> None:
    built = sandbox.klab("kernel", "build", "--flavour", "tiny").answer
    said = sandbox.klab(*VERIFY)
    assert said.code == 0
    assert said.answer["same"] is True
    assert said.answer["cached"] is True
    assert {"bzImage", "vmlinux", "config", "System.map"} < said.answer["files"].keys()
    assert {Path(path).name for path in built["packages"]} < said.answer["files"].keys()
    assert "the same, byte for byte" in said.answer["msg"]
    assert [cost["hits"] for cost in said.answer["costs"]] == [0, 0]
    assert {"umask", "jobs", "time zone"} < set(said.answer["varied"])
    assert not list(sandbox.cache.glob("work/*"))
    assert (sandbox.state / "logs/kernel_reproduce-tiny.json").is_file()
    again = sandbox.klab(*VERIFY)
    assert again.code == 0
    assert "--fresh builds again" in again.answer["msg"]
    assert "--fresh" not in sandbox.klab(*VERIFY, "--fresh").answer["msg"]


@pytest.mark.parametrize(
    ("leak", "told"),
    [
        # Where it was built, in a file of the image package.
        ('pwd >"$image/boot/where"; echo "$out" >>"$image/boot/where"', "boot/where: size "),
        # The umask.
        ('umask >"$image/boot/mask"', "boot/mask: other content"),
        # The time zone.
        ('date +%z >"$image/boot/zone"', "boot/zone: other content"),
    ],
)
def test_what_leaks_into_a_package_is_told_with_its_member(sandbox: Sandbox, leak: str, told: str) -> None:
    sandbox.klab("source", "fetch", "--flavour", "tiny")
    (tree,) = sandbox.cache.glob("sources/*/tree")
    script = tree / "scripts/package.sh"
    script.write_text(script.read_text().replace('pack "linux-image', f'{leak}\npack "linux-image'))
    said = sandbox.klab(*VERIFY)
    assert said.code == 1
    assert said.answer["same"] is False
    (files,) = said.answer["differences"].values()
    ((name, places),) = files.items()
    assert name.startswith("linux-image-")
    assert any(told in place for place in places)
    assert "NOT reproducible" in said.answer["msg"]
    assert len(list(sandbox.cache.glob("work/reproduce-*/[01]/bzImage"))) == 2


def test_an_artefact_that_was_built_otherwise_is_told(sandbox: Sandbox) -> None:
    sandbox.klab("kernel", "build", "--flavour", "tiny")
    (image,) = sandbox.cache.glob("kernels/*/System.map")
    # Behind klab's back, and so that a glance does not notice.
    stamp = image.stat()
    image.chmod(0o644)
    image.write_bytes(image.read_bytes()[::-1])
    os.utime(image, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    said = sandbox.klab(*VERIFY)
    assert said.code == 1
    assert list(said.answer["differences"]) == ["first and cache"]
    assert "from byte 0 on" in said.answer["differences"]["first and cache"]["System.map"][0]


def test_a_missing_file_and_a_place(tmp_path: Path) -> None:
    for name, text in {"a": "x" * 70_000 + "1", "b": "x" * 70_000 + "2"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "vmlinux").write_text(text)
    (tmp_path / "a/bzImage").write_text("")
    found = compare.differences(HOST, tmp_path / "a", tmp_path / "b", ["vmlinux", "bzImage"])
    assert found["bzImage"] == ["only in the first"]
    assert found["vmlinux"] == ["sizes 70001 / 70001, from byte 70000 on"]


READELF = """#!/bin/sh
cat <<'EOF'
Section Headers:
  [Nr] Name              Type            Address          Off    Size   ES Flg Lk Inf Al
  [ 0]                   NULL            0000000000000000 000000 000000 00      0   0  0
  [ 1] .text             PROGBITS        ffffffff81000000 000010 000004 00  AX  0   0  1
  [ 2] .BTF              PROGBITS        ffffffff82000000 000014 000004 00   A  0   0  1
  [10] .bss              NOBITS          ffffffff83000000 000018 100000 00  WA  0   0  1
EOF
"""


def test_sections_of_an_elf_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "bin/readelf"
    tool.parent.mkdir()
    tool.write_text(READELF)
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")
    for name, btf in {"a": b"BTF1", "b": b"BTF2"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "vmlinux").write_bytes(b"\x7fELF" + bytes(12) + b"text" + btf)
    found = compare.sections(HOST, tmp_path / "a/vmlinux")
    assert list(found) == [".text", ".BTF"]
    (tmp_path / "btf").write_bytes(b"BTF1")
    assert found[".BTF"] == digest.of_file(tmp_path / "btf")
    differ = compare.differences(HOST, tmp_path / "a", tmp_path / "b", ["vmlinux"])
    assert differ["vmlinux"] == ["sizes 24 / 24, from byte 23 on in sections .BTF"]


def test_a_run_that_was_cut_off_goes_on_behind_its_first_build(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.klab("source", "fetch", "--flavour", "tiny")
    (tree,) = sandbox.cache.glob("sources/*/tree")
    script, began = tree / "scripts/package.sh", tmp_path / "began"
    whole = f'echo "$1" >>{began}\n{script.read_text()}'
    # The second build fails, as if somebody had cut it off.
    script.write_text(f'case "$1" in *elsewhere*) exit 1;; esac\n{whole}')
    assert sandbox.klab(*VERIFY).code == 1
    script.write_text(whole)
    said = sandbox.klab(*VERIFY)
    assert said.answer["same"] is True
    assert [cost["objects"] > 0 for cost in said.answer["costs"]] == [True, True]
    first, second = began.read_text().split()
    assert "elsewhere" not in first
    assert "elsewhere" in second
    assert not list(sandbox.cache.glob("work/*"))


def test_an_artefact_that_was_built_from_nothing_is_the_first_build(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.klab("kernel", "build", "--flavour", "tiny")
    (noted,) = sandbox.cache.glob("kernels/*/manifest.json")
    # The tests have no ccache, which says of each object that it was compiled.
    told = json.loads(noted.read_text())
    told["cost"]["misses"] = told["cost"]["objects"]
    noted.chmod(0o644)
    noted.write_text(json.dumps(told))
    (tree,) = sandbox.cache.glob("sources/*/tree")
    script, began = tree / "scripts/package.sh", tmp_path / "began"
    script.write_text(f'echo "$1" >>{began}\n{script.read_text()}')
    said = sandbox.klab(*VERIFY)
    assert said.answer["same"] is said.answer["reused"] is True
    assert said.answer["costs"][0] == told["cost"]
    (second,) = began.read_text().split()
    assert "elsewhere" in second
    assert "the first is the artefact in the cache" in said.answer["msg"]
    assert sandbox.klab(*VERIFY, "--fresh").answer["reused"] is False
    assert len(began.read_text().split()) == 3
    # Much of it came out of ccache, and it is no build from nothing.
    told["cost"]["hits"] = told["cost"]["objects"]
    noted.write_text(json.dumps(told))
    for proof in sandbox.cache.glob("proofs/reproducible/*"):
        proof.unlink()
    assert sandbox.klab(*VERIFY).answer["reused"] is False
