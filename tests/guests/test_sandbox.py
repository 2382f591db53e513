# SPDX-License-Identifier: GPL-3.0-or-later
"""A module built in the sandbox loads in a guest of the kernel that it was built for."""

from pathlib import Path

import pytest

from klab import accel, sandbox
from klab.guest import initramfs, runner
from klab.kernel import artefact

SOURCE = """
#include <linux/module.h>
static int __init hello(void) { pr_emerg("built in the sandbox\\n"); return 0; }
static void __exit bye(void) { }
module_init(hello);
module_exit(bye);
MODULE_LICENSE("GPL");
"""
MAKEFILE = "obj-m := hello.o\nall:\n\t$(MAKE) -C $(KDIR) M=$(CURDIR) modules\n"


@pytest.mark.parametrize("flavour", ["lab", "stock"])
def test_a_module_builds_and_loads(tmp_path: Path, flavour: str) -> None:
    kernel = artefact.get(flavour)
    (tmp_path / "hello.c").write_text(SOURCE)
    (tmp_path / "Makefile").write_text(MAKEFILE)
    said = sandbox.run(["make"], folder=tmp_path, kernel=kernel)
    assert said.code == 0, said.err
    module = (tmp_path / "hello.ko").read_bytes()
    ran = runner.run(
        kernel.file("bzImage"),
        ["insmod /klab/hello.ko"],
        which=accel.probe().accel,
        files={"klab/hello.ko": (initramfs.DATA, module)},
    )
    assert ran.status == 0, ran.output
    assert any("built in the sandbox" in line for line in ran.console)


def test_headers_cannot_be_changed(tmp_path: Path) -> None:
    said = sandbox.run(["sh", "-c", "touch $KDIR/Makefile"], folder=tmp_path, kernel=artefact.get("lab"))
    assert said.code == 1
    assert "cannot touch" in said.err


def test_what_was_compiled_is_kept_for_whoever_is_given_the_folder(tmp_path: Path) -> None:
    kernel, objects = artefact.get("lab"), tmp_path / "objects"
    counted = "ccache --print-stats | grep direct_cache_hit"

    def hits(name: str, kept: Path | None) -> str:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "hello.c").write_text(SOURCE)
        (folder / "Makefile").write_text(MAKEFILE)
        said = sandbox.run(["sh", "-c", f"make >/dev/null && {counted}"], folder=folder, kernel=kernel,
                           objects=kept)  # fmt: skip
        return said.out.split()[-1]

    assert hits("first", objects) == "0"
    assert int(hits("second", objects)) >= 2
    assert hits("alone", None) == "0"
