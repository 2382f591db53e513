# SPDX-License-Identifier: GPL-3.0-or-later
"""Dumps of debuggees: what crash and drgn read in them is held against what the guest said before."""

import json
import re
import shutil
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner, Result

from klab import sandbox
from klab.cli import dump as cli
from klab.debuggee import agent, crash, dumps, gdb, halt, kdump, lifecycle, model
from klab.debuggee.model import Debuggee
from klab.errors import KlabError
from klab.guest import initramfs
from klab.kernel import artefact, symbols

NAME = "dumped"
SILENT_S = 60.0
FIXTURE = Path(__file__).parents[1] / "fixtures/debuggee"
LIST = """
import sys
from drgn.helpers.linux.pid import find_task, for_each_task
from drgn.helpers.linux.printk import get_dmesg
tasks = {task.pid.value_(): task.comm.string_().decode() for task in for_each_task(prog)}
print("sleeper", tasks.get(int(sys.argv[1])))
print("mark", sys.argv[2].encode() in get_dmesg(prog))
try:
    print("crashed", prog.crashed_thread().tid)
    for frame in prog.crashed_thread().stack_trace():
        print("frame", frame.name)
except Exception:  # of a kernel that lives there is none, or no way to it
    print("crashed", None)
"""


@pytest.fixture(scope="module", autouse=True)
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A state folder of our own, so that no dump of a user's is touched."""
    folder = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(halt, "ANSWER_S", 5.0)
        patch.setattr(dumps, "place", lambda debuggee: folder / debuggee)
        yield folder
        lifecycle.down(NAME)


@pytest.fixture
def debuggee() -> Debuggee:
    """A debuggee that leaves a dump, at its first moment."""
    known = model.load(NAME)
    if known and known.kdump:
        return lifecycle.reset(NAME)
    return lifecycle.up(NAME, "lab", dumps_at_crash=True)[0]


def said(debuggee: Debuggee, line: str) -> str:
    called = agent.call(debuggee, [line])
    assert called.status == 0, called
    return called.output.decode().strip()


def opened(dump: dumps.Dump, tool: str, *more: str) -> str:
    """What crash or drgn prints."""
    argv, env = crash.words(dump, tool, more)
    done = subprocess.run(
        argv, env={"PATH": "/usr/bin:/bin", **env}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def drgn(dump: dumps.Dump, folder: Path, monkeypatch: pytest.MonkeyPatch, *more: str) -> dict[str, list[str]]:
    (folder / "look.py").write_text(LIST)
    monkeypatch.chdir(folder)
    found: dict[str, list[str]] = {}
    for line in opened(dump, "drgn", "look.py", *more).splitlines():
        key, _, value = line.partition(" ")
        found.setdefault(key, []).append(value)
    return found


def panicked(debuggee: Debuggee, line: str) -> None:
    """Run what ends it, and wait until its dump is written."""
    with pytest.raises(KlabError, match="has gone: ") as error:
        agent.call(debuggee, [line], deadline_s=300)
    assert error.value.mend == "klab dump list shows its dump"


def silent(debuggee: Debuggee) -> None:
    """Wait until it answers no more: what ends it was begun in the background, and takes its time."""
    until = time.monotonic() + SILENT_S
    while agent.answers(debuggee, 3):
        assert time.monotonic() < until, "it lives on"


def test_a_panic_leaves_a_dump_and_the_debuggee_comes_back(
    debuggee: Debuggee, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sleeper = said(debuggee, "sleep 1000 >/dev/null & echo $!; echo klab-mark-dump >/dev/kmsg")
    panicked(debuggee, "touch /klab/mark; echo c >/proc/sysrq-trigger")
    again = lifecycle.get(NAME)
    assert agent.call(again, ["test -e /klab/mark"]).status == 1, "it is not as at its start"
    dump = dumps.get(NAME)
    assert (dump.how, dump.flavour, dump.kernel) == (dumps.PANIC, "lab", debuggee.kernel)
    assert dump.size < debuggee.memory << 19, "nothing was filtered"
    found = drgn(dump, tmp_path, monkeypatch, sleeper, "klab-mark-dump")
    assert found["sleeper"] == ["sleep"]
    assert found["mark"] == ["True"]
    assert "sysrq_handle_crash" in found["frame"]
    (tmp_path / "words").write_text("bt\nlog\nquit\n")
    heard = opened(dump, "crash", "-s", "-i", "/klab/here/words")
    assert re.search(rf"^PID: {found['crashed'][0]} .*COMMAND: \"sh\"", heard, re.MULTILINE), heard
    assert "sysrq_handle_crash" in heard
    assert "klab-mark-dump" in heard


def test_an_oops_of_a_module_leaves_one(debuggee: Debuggee, tmp_path: Path) -> None:
    work = shutil.copytree(FIXTURE, tmp_path / "work")
    built = sandbox.make(work, "lab")
    assert built.code == 0, built.err
    files = {"klab/crasher.ko": (initramfs.DATA, (work / "crasher.ko").read_bytes())}
    agent.call(debuggee, ["true"], files=files)
    panicked(debuggee, "insmod /klab/crasher.ko")
    lifecycle.get(NAME)
    (tmp_path / "words").write_text("bt\nmod\nquit\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        heard = opened(dumps.get(NAME), "crash", "-s", "-i", "/klab/here/words")
    assert "crasher_write" in heard


def test_a_live_dump(debuggee: Debuggee, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sleeper = said(debuggee, "sleep 1000 >/dev/null & echo $!; echo klab-mark-live >/dev/kmsg")
    dump = dumps.live(debuggee)
    assert said(debuggee, "uptime")  # it goes on
    found = drgn(dump, tmp_path, monkeypatch, sleeper, "klab-mark-live")
    assert (found["sleeper"], found["mark"], found["crashed"]) == (["sleep"], ["True"], ["None"])
    with pytest.raises(KlabError, match="AMD_MEM_ENCRYPT") as error:
        crash.words(dump, "crash")
    assert "klab dump drgn" in error.value.mend


def test_one_that_hangs_can_be_dumped(
    debuggee: Debuggee, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = shutil.copytree(FIXTURE, tmp_path / "work")
    assert sandbox.make(work, "lab").code == 0
    files = {"klab/crasher.ko": (initramfs.DATA, (work / "crasher.ko").read_bytes())}
    agent.call(debuggee, ["true"], files=files)
    agent.begin(debuggee, ["insmod /klab/crasher.ko hang=1"])
    silent(debuggee)
    found = drgn(dumps.live(debuggee), tmp_path, monkeypatch, "1", "crasher hangs")
    assert found["mark"] == ["True"]


def test_the_words_of_klab_dump(
    debuggee: Debuggee, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def klab(*words: str) -> Result:
        return CliRunner().invoke(cli.command, [words[0], "--name", NAME, *words[1:]])

    taken = json.loads(klab("take", "--json").output)
    listed = json.loads(klab("list", "--json").output)["dumps"]
    assert listed[-1]["name"] == taken["name"]
    assert taken["name"] in klab("list").output
    monkeypatch.chdir(tmp_path)
    (tmp_path / "who.py").write_text(
        "print('release', prog['init_uts_ns'].name.release.string_().decode())\n"
    )
    assert klab("drgn", "--dump", taken["name"], "--", "who.py").exit_code == 0
    assert f"release {taken['release']}" in capfd.readouterr().out
    assert klab("drgn", "--dump", "19700101", "--", "who.py").exit_code == 125


def test_no_kgdb_beside_kdump(debuggee: Debuggee) -> None:
    with pytest.raises(KlabError, match="has no KGDB"):
        gdb.batch(debuggee, halt.KGDB, ["detach"], deadline_s=60)
    assert "idle" in gdb.batch(debuggee, halt.STUB, ["bt", "detach"], deadline_s=60)


def test_too_little_is_refused_before_anything_runs(place: Path) -> None:
    with pytest.raises(KlabError, match="crashkernel=16M is too small") as error:
        lifecycle.up("small", "lab", dumps_at_crash=True, crashkernel=16)
    least = re.search(r"--crashkernel (\d+)", error.value.mend)
    assert least
    with pytest.raises(KlabError, match="cannot be kept free"):
        lifecycle.up("small", "lab", dumps_at_crash=True, memory=int(least[1]))
    assert model.load("small") is None


def test_a_full_disk_is_told_before(debuggee: Debuggee, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=100 << 20))
    with pytest.raises(KlabError, match="has 100 MiB free") as error:
        dumps.live(debuggee)
    assert "remove old dumps" in error.value.mend


def test_a_truncated_dump_is_told(debuggee: Debuggee) -> None:
    dump = dumps.live(debuggee)
    with dump.vmcore.open("r+b") as stream:
        stream.truncate(dump.size // 2)
    with pytest.raises(KlabError, match="is not whole"):
        dumps.get(NAME)
    shutil.rmtree(dump.vmcore.parent)


def test_a_dump_that_could_not_be_written_is_told(debuggee: Debuggee) -> None:
    with (debuggee.folder / "status").open("a") as stream:
        stream.write(f"{kdump.DUMPED} 1\n")
    lifecycle._end(debuggee)
    with pytest.raises(KlabError, match="no dump of it could be written"):
        lifecycle.get(NAME)
    assert lifecycle.reset(NAME).pid


def test_the_index_is_of_a_version_that_crash_reads() -> None:
    vmlinux = symbols.ensure(artefact.get("lab"))
    listed = subprocess.run(
        ["readelf", "-S", "-W", vmlinux], capture_output=True, text=True, check=True
    ).stdout
    found = re.search(r"\.gdb_index +PROGBITS +\w+ (\w+)", listed)
    assert found
    with vmlinux.open("rb") as stream:
        stream.seek(int(found[1], 16))
        assert struct.unpack("<I", stream.read(4)) == (8,)
