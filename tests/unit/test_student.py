# SPDX-License-Identifier: GPL-3.0-or-later
"""Students' kernels: what is built, what is kept, and whose fault it is when it is not.

The tree is the fake one and the sandbox a plain shell; tests/guests has the real ones.
"""

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from difflib import unified_diff
from pathlib import Path

import pytest

from fixtures import fakekernels, places
from klab import sandbox
from klab.kernel import layers, student
from klab.kernel.student import Refused, Wanted


def assemble(shows: Mapping[str, Path], target: Path) -> None:
    """What the sandbox mounts, as copies one over the other."""
    for place, source in shows.items():
        here = target / place.removeprefix(student.SRC).lstrip("/")
        if here.exists():
            shutil.rmtree(here)
        shutil.copytree(source, here, symlinks=True)


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wanted:
    """A reference of the fake kernel."""
    folder = fakekernels.lay_out(tmp_path / "kernels")
    places.own(monkeypatch, tmp_path, folder)
    monkeypatch.setattr(student, "FLAVOUR", "mine")
    (tmp_path / "count").mkdir()

    def run(words: Sequence[str], *, folder: Path, shows: Mapping[str, Path], **_: object) -> sandbox.Said:
        tree = folder.with_name("tree")
        if not tree.exists():
            assemble(shows, tree)
        (folder / "ccache").mkdir(exist_ok=True)
        here = [word.replace("/work", str(folder)).replace(student.SRC, str(tree)) for word in words]
        done = subprocess.run(here, cwd=folder, capture_output=True, text=True, check=False)
        if "bzImage" in words:
            (tmp_path / "count" / str(len(list((tmp_path / "count").iterdir())))).touch()
        return sandbox.Said(done.returncode, done.stdout, done.stderr)

    monkeypatch.setattr(sandbox, "run", run)
    return Wanted((folder / "fragments/base.config",))


def builds(tmp_path: Path) -> int:
    """How many kernels were built until now."""
    return len(list((tmp_path / "count").iterdir()))


def patch(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "series.patch"
    path.write_text(text)
    return path


def diff(name: str, before: str, after: str) -> str:
    """A patch of one file, as diff makes it."""
    lines = unified_diff(before.splitlines(True), after.splitlines(True), f"a/{name}", f"b/{name}")
    return "".join(lines)


def test_a_patch_is_in_the_kernel(base: Wanted, tmp_path: Path) -> None:
    source = fakekernels.HERE / "fakelinux/kernel/bpf.c"
    before = source.read_text()
    mine = patch(tmp_path, diff("kernel/bpf.c", before, f"{before}int my_own(void) {{ return 1; }}\n"))
    entry = student.ensure(Wanted(base.fragments, mine, base=base))
    assert "T my_own" in entry.file("System.map").read_text()
    assert "T my_own" not in student.ensure(base, reference=True).file("System.map").read_text()
    assert "CONFIG_HZ=1000" in entry.file("config").read_text()


def test_nothing_of_the_references_patch_stays(base: Wanted, tmp_path: Path) -> None:
    before = (fakekernels.HERE / "fakelinux/kernel/bpf.c").read_text()
    stub = tmp_path / "stub.patch"
    stub.write_text(diff("kernel/bpf.c", before, f"{before}int stub(void) {{ return 0; }}\n"))
    patched = Wanted(base.fragments, stub, base)
    assert "T stub" in student.ensure(patched, reference=True).file("System.map").read_text()
    mine = student.ensure(Wanted(base.fragments, base=patched))
    assert "T stub" not in mine.file("System.map").read_text()


def test_the_same_content_is_built_once(base: Wanted, tmp_path: Path) -> None:
    mine = tmp_path / "mine.config"
    mine.write_text("CONFIG_BPF_SYSCALL=y\n")
    first = student.ensure(Wanted((mine,), base=base))
    assert builds(tmp_path) == 2, "the reference and the student's"
    mine.write_text("# another comment\nCONFIG_BPF_SYSCALL=y\n")
    assert student.ensure(Wanted((mine,), base=base)).digest == first.digest
    assert builds(tmp_path) == 2


def test_a_reference_keeps_what_others_go_on_from(base: Wanted, tmp_path: Path) -> None:
    assert student.ensure(base, reference=True).file(student.LEFT).exists()
    mine = student.ensure(Wanted(base.fragments, base=base))
    assert not mine.file(student.LEFT).exists()
    assert mine.kind != student.ensure(base, reference=True).kind


def test_a_symbol_that_is_dropped(base: Wanted, tmp_path: Path) -> None:
    mine = tmp_path / "mine.config"
    mine.write_text("CONFIG_VIRTIO_FS=y\n")
    with pytest.raises(Refused, match=r"CONFIG_VIRTIO_FS=y \(mine.config:1\) became n: .*FUSE"):
        student.ensure(Wanted((mine,), base=base))


def test_a_line_that_is_no_symbol(base: Wanted, tmp_path: Path) -> None:
    mine = tmp_path / "mine.config"
    mine.write_text("CONFIG_EXT4=maybe\n")
    with pytest.raises(Refused, match="cannot read 'CONFIG_EXT4=maybe'"):
        student.ensure(Wanted((mine,), base=base))
    mine.write_bytes(b"\xff\xfe")
    with pytest.raises(Refused):
        student.ensure(Wanted((mine,), base=base))


def test_what_does_not_compile(base: Wanted, tmp_path: Path) -> None:
    before = (fakekernels.HERE / "fakelinux/kernel/bpf.c").read_text()
    mine = patch(tmp_path, diff("kernel/bpf.c", before, f"#error not yet\n{before}"))
    with pytest.raises(Refused, match="does not compile") as error:
        student.ensure(Wanted(base.fragments, mine, base=base))
    assert "not yet" in error.value.said


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("no patch at all\n", "No valid patches|unrecognized input"),
        ("--- a/kernel/none.c\n+++ b/kernel/none.c\n@@ -1 +1 @@\n-a\n+b\n", "No such file"),
        ("--- a/../../out\n+++ b/../../out\n@@ -0,0 +1 @@\n+x\n", "invalid path|No such file"),
        ("diff --git a/l b/l\nnew file mode 120000\n--- /dev/null\n+++ b/l\n@@ -0,0 +1 @@\n+/etc\n"
         "\\ No newline at end of file\n"
         "diff --git a/l/x b/l/x\nnew file mode 100644\n--- /dev/null\n+++ b/l/x\n@@ -0,0 +1 @@\n+x\n",
         "beyond a symbolic link"),
    ],
)  # fmt: skip
def test_a_patch_that_does_not_apply(base: Wanted, tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(Refused, match=why):
        student.ensure(Wanted(base.fragments, patch(tmp_path, text), base=base))
    assert not (tmp_path / "out").exists()


def test_links_out_of_a_build_are_not_followed(
    base: Wanted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret/boot").mkdir(parents=True)
    (tmp_path / "secret/boot/bzImage").write_text("of the host")
    honest = sandbox.run

    def hostile(words: Sequence[str], *, folder: Path, **more: object) -> sandbox.Said:
        said = honest(words, folder=folder, **more)  # type: ignore[arg-type]
        if "bzImage" in words and builds(tmp_path) > 1:
            shutil.rmtree(folder / "out/arch/x86")
            (folder / "out/arch/x86").symlink_to(tmp_path / "secret")
        return said

    monkeypatch.setattr(sandbox, "run", hostile)
    with pytest.raises(Refused, match="has not made arch/x86/boot/bzImage"):
        student.ensure(Wanted(base.fragments, base=base))


def test_layers_show_the_tree_as_patched(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for name in ("Makefile", "kernel/a.c", "kernel/sched/b.c", "fs/c.c", "fs/ext4/d.c"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(f"{name}\n")
    whole = tmp_path / "whole"
    shutil.copytree(tree, whole)
    text = (
        "--- a/Makefile\n+++ b/Makefile\n@@ -1 +1,2 @@\n Makefile\n+more\n"
        "--- a/kernel/sched/b.c\n+++ /dev/null\n@@ -1 +0,0 @@\n-kernel/sched/b.c\n"
        "--- /dev/null\n+++ b/kernel/sched/new.c\n@@ -0,0 +1 @@\n+new\n"
        "--- /dev/null\n+++ b/fs/mine/deep/e.c\n@@ -0,0 +1 @@\n+deep\n"
        "diff --git a/fs/c.c b/kernel/moved.c\nsimilarity index 100%\nrename from fs/c.c\n"
        "rename to kernel/moved.c\n"
    )
    mine = patch(tmp_path, text)
    subprocess.run(["git", "apply", str(mine)], cwd=whole, check=True)
    shown = tmp_path / "shown"
    assemble(layers.lay(tree, mine, tmp_path / "layers", student.SRC), shown)
    assert content(shown) == content(whole)
    assert "kernel/moved.c" in content(shown)


def content(folder: Path) -> dict[str, str]:
    return {p.relative_to(folder).as_posix(): p.read_text() for p in folder.rglob("*") if p.is_file()}
