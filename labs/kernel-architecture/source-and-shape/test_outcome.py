# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers about the tree compared with the tree, and a measurement with the kernel's own trace."""

import json
import re
from pathlib import Path

import pytest

from klab.kernel import source
from klab.kernel.dotconfig import read_config
from klab.kernel.flavour import built as flavour
from klab.testing import expect

# Files and the symbol that decides about them; "" for what every kernel has.
FILES = {
    "kernel/fork.c": "",
    "fs/read_write.c": "",
    "mm/memory.c": "MMU",
    "net/ipv4/tcp.c": "INET",
    "fs/ext4/inode.c": "EXT4_FS",
    "fs/fuse/dir.c": "FUSE_FS",
    "fs/overlayfs/copy_up.c": "OVERLAY_FS",
    "fs/xfs/xfs_mount.c": "XFS_FS",
    "fs/btrfs/ctree.c": "BTRFS_FS",
    "fs/squashfs/inode.c": "SQUASHFS",
    "fs/minix/inode.c": "MINIX_FS",
    "fs/nfs/dir.c": "NFS_FS",
    "fs/isofs/inode.c": "ISO9660_FS",
    "net/bridge/br_fdb.c": "BRIDGE",
    "net/unix/af_unix.c": "UNIX",
    "net/ipv4/tcp_bbr.c": "TCP_CONG_BBR",
    "net/ipv4/tcp_cubic.c": "TCP_CONG_CUBIC",
    "net/mac80211/main.c": "MAC80211",
    "drivers/net/tun.c": "TUN",
    "drivers/net/veth.c": "VETH",
    "drivers/net/vxlan/vxlan_core.c": "VXLAN",
    "drivers/block/loop.c": "BLK_DEV_LOOP",
    "drivers/block/zram/zram_drv.c": "ZRAM",
    "drivers/nvme/host/core.c": "NVME_CORE",
    "kernel/livepatch/core.c": "LIVEPATCH",
}
# obj-y in a folder that the Makefile above does not enter.
NEVER = {"security/tomoyo/audit.c": "SECURITY_TOMOYO", "sound/core/seq/seq_clientmgr.c": "SND_SEQUENCER"}
# Functions and the file of this kernel that has them; some are in files of other machines, too.
NAMES = {
    "vfs_read": "fs/read_write.c",
    "do_exit": "kernel/exit.c",
    "start_kernel": "init/main.c",
    "handle_mm_fault": "mm/memory.c",
    "d_lookup": "fs/dcache.c",
    "try_to_wake_up": "kernel/sched/core.c",
    "kernel_clone": "kernel/fork.c",
    "tcp_sendmsg": "net/ipv4/tcp.c",
    "wake_up_process": "kernel/sched/core.c",
    "sys_openat": "fs/open.c",
    "sys_futex": "kernel/futex/syscalls.c",
    "sys_read": "fs/read_write.c",
    "sys_brk": "mm/mmap.c",
}
ELSEWHERE = {
    "copy_thread": "arch/x86/kernel/process.c",
    "flush_tlb_mm_range": "arch/x86/mm/tlb.c",
    "sys_mmap": "arch/x86/kernel/sys_x86_64.c",
}
TREE = "/klab/src"
WORDS = {"y": "built-in", "m": "module"}
FEW = 0.05  # switches for a read that the kernel answers by itself
MANY = (1.8, 4.0)  # for one that another process answers: there and back
SCRIPT = """
cd /klab; mkdir -p /mnt/outside /mnt/inside out
mount -t tmpfs inside /mnt/inside; dd if=/dev/zero of=/mnt/inside/data bs=4096 count=16 2>/dev/null
./fileserver /mnt/outside >out/served & server=$!
until [ -e /mnt/outside/data ]; do usleep 20000; done
mount -t tracefs t /sys/kernel/tracing 2>/dev/null; cd /sys/kernel/tracing
echo 'prev_comm == "measure" || prev_comm == "fileserver"' >events/sched/sched_switch/filter
for where in inside outside; do
  echo >trace; echo 1 >events/sched/sched_switch/enable
  /klab/measure /mnt/$where/data COUNT $([ $where = inside ] || echo $server) >/klab/out/$where
  echo 0 >events/sched/sched_switch/enable
  grep -c sched_switch: trace >/klab/out/switches-$where
done
kill $server; wait $server
"""


@pytest.fixture(scope="module")
def tree(lab):
    """The source of the lab's kernel."""
    return source.ensure(flavour(lab.spec.kernel).source).path / "tree"


@pytest.fixture(scope="module")
def config(lab):
    """The lab's kernel's configuration."""
    return lab.kernel().file("config")


@pytest.fixture(scope="module")
def ask(lab, tree, config):
    """Asks the student's tool in the sandbox, which shows it the tree: {name: answer}."""

    def answers(what, names):
        folder = lab.make().folder
        (folder / "config").write_bytes(config.read_bytes())
        words = ["python3", "where.py", TREE, "config", what, *names]
        said = lab.run(words, folder=folder, deadline_s=240, shows={TREE: tree})
        expect.holds(
            said.code == 0,
            f"where.py {what} ends well",
            observed=f"{said.code}: {said.err[-800:]}",
            expected="exit status 0",
            look="where.py",
        )
        return dict(line.split(" ", 1) for line in said.out.splitlines() if " " in line)

    return answers


def states(config, files):
    """{file: built-in, module or no}, by what decides about it."""
    symbols = read_config(config.read_text())
    return {file: WORDS.get(symbols.get(name, "n") if name else "y", "no") for file, name in files.items()}


def test_what_is_built(lab, ask, config):
    drawn = lab.random.sample(sorted(FILES), 12)
    right = states(config, {name: FILES[name] for name in drawn})
    said = ask("built", drawn)
    for name, state in right.items():
        expect.equal(
            said.get(name), state, f"whether {name} is built", look="where.py: built(); Makefiles of the tree"
        )


def test_folders_that_nobody_enters(ask, config):
    right = {name: state for name, state in states(config, NEVER).items() if state == "no"}
    if not right:
        expect.cannot_tell("this kernel enters all folders that the test knows")
    said = ask("built", right)
    for name in right:
        expect.equal(
            said.get(name),
            "no",
            f"whether {name} is built: its Makefile says obj-y",
            look="the Makefile of the folder above",
        )


def is_definition(text, line, name):
    """Whether a function's, or a system call's, definition begins in that line of a file."""
    lines = text.splitlines()
    if not 0 < line <= len(lines):
        return False
    call = name.removeprefix("sys_")
    pattern = rf"SYSCALL_DEFINE\d\({call}\b" if call != name else rf"[^\s#/*].*\b{name}\(|{name}\("
    rest = "\n".join(lines[line - 1 : line + 12])
    ends = re.search(r"[{;]", rest)
    return bool(re.match(pattern, lines[line - 1]) and ends and ends[0] == "{")


def found(ask, tree, names):
    """Each name's definition is in the file of this kernel, and begins in the line that was named."""
    said = ask("define", names)
    for name, file in names.items():
        text = (tree / file).read_text()
        right = [n for n in range(1, text.count("\n") + 1) if is_definition(text, n, name)]
        if not right:
            expect.cannot_tell(f"{file} does not define {name}")
        places = [f"{file}:{line}" for line in right]
        expect.holds(
            said.get(name) in places,
            f"where {name} is defined",
            observed=said.get(name, "(no answer)"),
            expected=" or ".join(places),
            look="where.py: define()",
        )


def test_definitions(lab, ask, tree):
    found(ask, tree, {name: NAMES[name] for name in lab.random.sample(sorted(NAMES), 6)})


def test_definitions_of_this_machine(ask, tree):
    found(ask, tree, ELSEWHERE)


@pytest.fixture(scope="module")
def measured(lab, guest):
    """What the student's measure and the kernel's trace say of both servers."""
    count = lab.random.randint(300, 500)
    # The server is the lab's own, whatever became of the copy in the workspace.
    built = lab.make()
    (built.folder / "fileserver.c").write_bytes((Path(lab.spec.starter) / "fileserver.c").read_bytes())
    said = lab.run(["gcc", "-O2", "-static", "-o", "served", "fileserver.c"], folder=built.folder)
    if said.code:
        expect.cannot_tell(f"the server does not build: {said.err}")
    files = {"klab/measure": built.file("measure"), "klab/fileserver": built.file("served")}
    ran = guest(SCRIPT.replace("COUNT", str(count)), files=files)
    results = {name: text.decode(errors="replace").strip() for name, text in ran.results.items()}
    return count, results, ran.output.decode(errors="replace")


@pytest.mark.parametrize("where", ["inside", "outside"])
def test_the_measurement(measured, where):
    count, results, output = measured
    try:
        said = json.loads(results.get(where, ""))
        reads, switches, took = (int(said[name]) for name in ("reads", "switches", "ns"))
    except (ValueError, KeyError, TypeError):
        expect.fail(
            f"{where}: measure prints its JSON object",
            observed=results.get(where) or output,
            expected='{"reads": …, "switches": …, "ns": …}',
            look="measure.c",
        )
    server = "tmpfs" if where == "inside" else "the server"
    expect.equal(
        reads,
        count,
        f"all reads from {server} give their bytes",
        look="measure.c: O_DIRECT wants an aligned buffer",
    )
    if where == "outside":
        served = re.search(r"served (\d+)", results.get("served", ""))
        expect.holds(
            bool(served) and int(served[1]) >= count,
            "the server is asked at each read",
            observed=f"it served {served[1] if served else '?'} reads of {count}",
            expected=f"{count}",
            look="measure.c: who answers the second read?",
        )
    traced = int(results.get(f"switches-{where}") or 0)
    expect.holds(
        abs(switches - traced) <= max(30, traced * 0.15),
        f"context switches while {server} is read",
        observed=f"{switches}, in {count} reads",
        expected=f"{traced}, as sched_switch counts them (about)",
        look="measure.c: both processes are switched away from",
    )
    each = switches / count
    low, high = (0, FEW + 30 / count) if where == "inside" else MANY
    expect.holds(
        low <= each <= high,
        f"switches for each read from {server}",
        observed=f"{each:.2f}",
        expected=f"{low:.1f} to {high:.1f}",
        look="measure.c",
    )
    expect.holds(
        took > 0, f"reading from {server} takes time", observed=took, expected="nanoseconds", look="measure.c"
    )


def test_what_the_shape_costs(measured):
    _, results, _ = measured
    try:
        inside, outside = (json.loads(results[where])["ns"] for where in ("inside", "outside"))
    except (ValueError, KeyError, TypeError):
        expect.cannot_tell("measure gave no times")
    expect.holds(
        outside > inside,
        "a server outside of the kernel costs time",
        observed=f"{outside} and {inside} ns",
        expected="more outside than inside",
        look="measure.c: the time of the reads alone",
    )
