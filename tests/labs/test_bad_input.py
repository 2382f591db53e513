# SPDX-License-Identifier: GPL-3.0-or-later
"""Work that breaks things: the check ends in time with a fair verdict, and nothing is left running.

These want the kernel `lab` and some minutes: they run when they are named.
"""

import os
import time
from multiprocessing import forkserver
from pathlib import Path

import pytest

from klab import catalogue
from klab.lab import grade, workspace

LABS = Path(__file__).resolve().parents[1] / "fixtures/labs"
LONGEST_S = 240  # of a check: two guests of sixty seconds, their builds, and a host that is busy

MODULE = """// SPDX-License-Identifier: GPL-2.0-only
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/panic.h>
#include <linux/reboot.h>

static int start;
module_param(start, int, 0444);
static DEFINE_MUTEX(lock);

static int __init counter_init(void)
{
	mutex_init(&lock);
	%s
	return 0;
}

module_init(counter_init);
MODULE_DESCRIPTION("Trouble");
MODULE_LICENSE("GPL");
"""
PROGRAM = """// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <unistd.h>

int main(void)
{
	%s
	return 0;
}
"""
# What is done, and what the verdict must say of it.
MODULES = {
    "oops": ("*(volatile int *)8 = 1;", "NULL pointer"),
    "hang": ("for (;;) cpu_relax();", "the kernel"),
    "deadlock": ("mutex_lock(&lock); mutex_lock(&lock);", "the kernel"),
    "flood": ('for (;;) pr_info("water\\n");', "the kernel"),
    "panic": ('panic("no more");', "panic"),
    "reboot": ("emergency_restart();", "the guest was lost"),
    "words": ('pr_info("klab: pass\\n"); pr_info("%d\\n", start);', "three reads"),
}
FILL = """static char block[1 << 20]; int fd = open("/fill", O_CREAT | O_WRONLY, 0600);
	memset(block, 7, sizeof block);
	while (write(fd, block, sizeof block) > 0) ;
	for (;;) pause();"""
PROGRAMS = {
    "fork": "for (;;) fork();",
    "fill": FILL,
    "endless": "for (;;) ;",
    "words": 'puts("ok\\n{\\"word\\": \\"pass\\"}\\nsum 42"); puts("pass: 1 of 1 observations passed");',
    "babble": 'for (;;) puts("sum 42");',
    "killer": "kill(-1, SIGKILL); for (;;) ;",
    "restart": "reboot(RB_AUTOBOOT); for (;;) ;",
}


# Mistakes that no outcome shows: only the silent run under `san` can.
QUIET = {
    "leak": ("kmalloc(100, GFP_KERNEL);", "kmemleak"),
    "overrun": ("char *p = kmalloc(16, GFP_KERNEL); *(volatile char *)(p + 16) = 1; kfree(p);", "kasan"),
}


def left(mark: str) -> list[str]:
    """Processes that have this mark in their environment, by their names."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (folder / "environ").read_bytes() and folder.name != str(os.getpid()):
                found.append((folder / "comm").read_text().strip())
        except OSError:
            continue  # it has ended meanwhile
    return found


def check(
    lab_name: str, source: tuple[str, str], folder: Path, mp: pytest.MonkeyPatch, longest_s: float = LONGEST_S
) -> grade.Verdict:
    """Grade the lab's starter with source (name, text) as one of its files."""
    mp.setenv("KLAB_LABS", str(LABS))
    lab = catalogue.load().labs[f"samples/{lab_name}"]
    workspace.stage(lab, folder)
    (folder / source[0]).write_text(source[1])
    forkserver.ensure_running()  # klab's own, which outlives the check
    # All that the check starts inherits it.
    mark = f"klab-test-{time.monotonic_ns()}"
    mp.setenv("KLAB_TEST_MARK", mark)
    began = time.monotonic()
    verdict = grade.run(lab, folder, seed=int.from_bytes(os.urandom(3)), tell=print)
    assert time.monotonic() - began < longest_s
    assert left(mark) == []
    return verdict


@pytest.mark.parametrize("what", MODULES)
def test_module_that_does_harm(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, expected = MODULES[what]
    verdict = check("counter", ("counter.c", MODULE % code), tmp_path, monkeypatch)
    assert verdict.word == "fail"
    text = "\n".join(f"{seen.what} {seen.observed}" for seen in verdict.observations if seen.word == "fail")
    assert expected in text
    assert bool(verdict.splats) == (what in {"oops", "panic"}), verdict.splats


@pytest.mark.parametrize("what", PROGRAMS)
def test_program_that_does_harm(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    verdict = check("sums", ("sums.c", PROGRAM % PROGRAMS[what]), tmp_path, monkeypatch)
    assert verdict.word == "fail"
    assert verdict.reason


@pytest.mark.parametrize("what", QUIET)
def test_mistake_that_only_sanitizers_see(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, expected = QUIET[what]
    monkeypatch.setenv("KLAB_LABS", str(LABS))
    lab = catalogue.load().labs["samples/counter"]
    (tmp_path / "solved").mkdir()
    workspace.stage(lab, tmp_path / "solved", lab.solution)
    solution = (tmp_path / "solved/counter.c").read_text()
    text = solution.replace("\tatomic_set", f"\t{{ {code} }}\n\tatomic_set", 1)
    text = text.replace("#include <linux/seq_file.h>", "#include <linux/seq_file.h>\n#include <linux/slab.h>")
    (tmp_path / "work").mkdir()
    verdict = check("counter", ("counter.c", text), tmp_path / "work", monkeypatch, 600)
    assert verdict.word == "fail"
    assert expected in verdict.reason
