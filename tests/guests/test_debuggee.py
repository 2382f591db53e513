# SPDX-License-Identifier: GPL-3.0-or-later
"""A debuggee and real debuggers: what they read is held against what the guest says by another way."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest
from click.testing import CliRunner

from klab import sandbox
from klab.cli import debuggee as cli
from klab.debuggee import agent, gdb, halt, lifecycle, model
from klab.debuggee.model import Debuggee
from klab.errors import KlabError
from klab.guest import initramfs

NAME = "test"
FIXTURE = Path(__file__).parents[1] / "fixtures/debuggee"
SESSION_S = 120.0
LATER_S = 4  # of the guest, in which gdb has come and stopped it


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The module ticker, built."""
    place = tmp_path_factory.mktemp("ticker") / "work"
    shutil.copytree(FIXTURE, place)
    said = sandbox.make(place, "lab")
    assert said.code == 0, said.err
    return place


@pytest.fixture(scope="module")
def one() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(halt, "ANSWER_S", 5.0)  # other tests may run beside
        yield
        lifecycle.down(NAME)


@pytest.fixture
def debuggee(one: None) -> Debuggee:
    """A debuggee at its first moment."""
    if model.load(NAME):
        return lifecycle.reset(NAME)
    return lifecycle.up(NAME, "lab")[0]


def said(debuggee: Debuggee, line: str) -> str:
    """What a command prints there."""
    called = agent.call(debuggee, [line])
    assert called.status == 0, called
    return called.output.decode().strip()


def lay(debuggee: Debuggee, folder: Path) -> None:
    ticker = (folder / "ticker.ko").read_bytes()
    agent.call(debuggee, ["true"], files={"klab/ticker.ko": (initramfs.DATA, ticker)})


def session(debuggee: Debuggee, way: str, *commands: str) -> str:
    return gdb.batch(debuggee, way, commands, deadline_s=SESSION_S)


def test_calls(debuggee: Debuggee) -> None:
    ended = agent.call(
        debuggee, ["sh", "-c", "cat /klab/a; exit 3"], files={"klab/a": (0o100644, b"x" * 99999)}
    )
    assert (ended.status, ended.output) == (3, b"x" * 99999)


def test_up_is_idempotent_and_another_kernel_is_refused(debuggee: Debuggee) -> None:
    assert lifecycle.up(NAME, "lab") == (debuggee, False)
    with pytest.raises(KlabError, match="is up on kernel lab") as error:
        lifecycle.up(NAME, "lab", memory=1024)
    assert "klab debuggee down" in error.value.mend


def test_reset_forgets_and_down_ends(debuggee: Debuggee) -> None:
    said(debuggee, "touch /klab/mark")
    assert agent.call(lifecycle.reset(NAME), ["test -e /klab/mark"]).status == 1
    pid = model.get(NAME).pid
    assert pid
    assert lifecycle.down(NAME)
    assert not process_runs(pid)
    assert not lifecycle.down(NAME)
    with pytest.raises(KlabError, match="is down"):
        model.get(NAME)


def process_runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("way", [halt.KGDB, halt.STUB])
def test_stop_look_and_go_on(debuggee: Debuggee, way: str) -> None:
    mark = f"klab-mark-{way}"
    sleeper = said(debuggee, f"sleep 1000 & echo $!; echo {mark} >/dev/kmsg")
    heard = session(debuggee, way, "bt", "lx-version", "lx-ps", "lx-dmesg", "detach")
    top = "__handle_sysrq" if way == halt.KGDB else "idle"
    assert re.search(rf"^#\d+ .*{top}", heard, re.MULTILINE), heard
    assert said(debuggee, "cat /proc/version") in heard
    assert re.search(rf"^0x[0-9a-f]+ +{sleeper} +sleep", heard, re.MULTILINE), heard
    assert mark in heard
    assert said(debuggee, "uptime")  # it goes on


@pytest.mark.parametrize("way", [halt.KGDB, halt.STUB])
def test_a_module_loaded_later(
    debuggee: Debuggee, folder: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stop in it, watch its variable, change another, and see the effect in the guest."""
    monkeypatch.chdir(folder)
    lay(debuggee, folder)
    agent.begin(debuggee, [f"sleep {LATER_S}; insmod /klab/ticker.ko"])
    heard = session(
        debuggee, way,
        "set breakpoint pending on", "lx-symbols .", "break ticker_tick", "continue",
        "bt 3", "print ticker_step", "delete", "watch ticker_count", "continue", "continue",
        "print ticker_count", "delete", "set var ticker_step = 1000", "detach",
    )  # fmt: skip
    assert re.search(r"Breakpoint \d+, ticker_tick \(", heard), heard
    assert re.search(r"^#1 .*process_one_work", heard, re.MULTILINE), heard
    assert "$1 = 1" in heard
    # KGDB says that it stopped, and not why.
    watched = r"Old value = 1\nNew value = 2" if way == halt.STUB else r"(?s)SIGTRAP.*SIGTRAP"
    assert re.search(watched, heard), heard
    assert "$2 = 2" in heard
    assert said(debuggee, "cat /sys/module/ticker/parameters/step") == "1000"
    assert int(said(debuggee, "sleep 1; cat /sys/module/ticker/parameters/count")) > 1000


def test_kdb_at_a_terminal(debuggee: Debuggee) -> None:
    sleeper = said(debuggee, "sleep 1000 & echo $!")
    spawn = pexpect.spawn(sys.executable, ["-m", "klab", "debuggee", "kdb", "--name", NAME], timeout=60)
    spawn.expect("kdb> ")
    spawn.send("set LINES=1000\r")  # else it waits for a key after each page
    spawn.expect("kdb> ")
    spawn.send("ps A\r")
    spawn.expect(rf"\b{sleeper}\b.*sleep")
    spawn.send("go\r")
    assert said(debuggee, "uptime")
    spawn.send("\x1d")
    spawn.expect(pexpect.EOF)


def test_the_console_is_a_shell(debuggee: Debuggee) -> None:
    spawn = pexpect.spawn(sys.executable, ["-m", "klab", "debuggee", "console", "--name", NAME], timeout=60)
    spawn.expect("# ")
    spawn.send("echo $((6 * 7)) >/klab/typed\r")
    spawn.expect("# ")
    spawn.send("\x1d")
    spawn.expect(pexpect.EOF)
    assert said(debuggee, "cat /klab/typed") == "42"
    assert "typed" in debuggee.console.read_text()


def test_a_dropped_session_leaves_it_in_the_debugger_and_reset_mends(debuggee: Debuggee) -> None:
    argv, env = gdb.words(debuggee, halt.KGDB, ["-batch", "-ex", "shell sleep 60"])
    with halt.line(debuggee, halt.KGDB):
        spawn = pexpect.spawn(argv[0], argv[1:], env={**os.environ, **env}, timeout=60)
        spawn.expect("kgdb_breakpoint")
        os.killpg(spawn.pid, signal.SIGKILL)
        spawn.close(force=True)
    assert lifecycle.state(debuggee) == "silent"
    with pytest.raises(KlabError, match="stands in a debugger") as error:
        agent.call(debuggee, ["true"], deadline_s=1)
    assert "klab debuggee reset" in error.value.mend
    assert lifecycle.state(lifecycle.reset(NAME)) == "running"


def test_a_stopped_stub_goes_on_when_gdb_has_gone(debuggee: Debuggee) -> None:
    argv, env = gdb.words(debuggee, halt.STUB, ["-batch", "-ex", "shell sleep 60"])
    with halt.line(debuggee, halt.STUB):
        spawn = pexpect.spawn(argv[0], argv[1:], env={**os.environ, **env}, timeout=60)
        spawn.expect("halt")
        assert lifecycle.state(debuggee) == "paused"
        os.killpg(spawn.pid, signal.SIGKILL)
        spawn.close(force=True)
    assert lifecycle.state(debuggee) == "running"


def test_a_line_is_for_one(debuggee: Debuggee) -> None:
    with halt.line(debuggee, halt.STUB), pytest.raises(KlabError, match="the stub line of test"):
        session(debuggee, halt.STUB, "bt")


def test_kdb_waits_for_no_gdb(debuggee: Debuggee) -> None:
    with halt.alone(debuggee, halt.KGDB):
        done = CliRunner().invoke(cli.command, ["kdb", "--name", NAME])
    assert done.exit_code == 125
    assert f"the kgdb line of {NAME}" in done.stderr


def test_its_files_are_bounded(debuggee: Debuggee) -> None:
    limits = Path(f"/proc/{debuggee.pid}/limits").read_text()
    (size,) = re.findall(r"^Max file size +(\d+) ", limits, re.MULTILINE)
    assert debuggee.memory << 20 < int(size) < 4 * debuggee.memory << 20


def test_a_tied_one_ends_with_who_put_it_up() -> None:
    up = "import time; from klab.debuggee import lifecycle; "
    up += "lifecycle.up('tied', 'lab', tied=True); time.sleep(600)"
    owner = subprocess.Popen([sys.executable, "-c", up])
    try:
        until = time.monotonic() + SESSION_S
        while not ((known := model.load("tied")) and known.pid):
            assert time.monotonic() < until
            time.sleep(0.1)
        owner.kill()
        owner.wait()
        while known.pid:
            assert time.monotonic() < until
            time.sleep(0.1)
    finally:
        owner.kill()
        lifecycle.down("tied")


def test_a_panic_enters_the_debugger(debuggee: Debuggee) -> None:
    agent.begin(debuggee, ["echo c >/proc/sysrq-trigger"])
    time.sleep(1)  # until it has come to that
    heard = session(debuggee, halt.KGDB, "bt", "detach")
    assert "sysrq_handle_crash" in heard
    with pytest.raises(KlabError, match="does not answer"):
        agent.call(debuggee, ["true"], deadline_s=1)
    assert lifecycle.state(lifecycle.reset(NAME)) == "running"


def test_one_that_has_gone_is_told(debuggee: Debuggee) -> None:
    agent.begin(debuggee, ["reboot -f"])
    with pytest.raises(KlabError, match="has gone: it ended"):
        agent.call(debuggee, ["sleep 10"])


def test_what_was_never_there() -> None:
    with pytest.raises(KlabError, match="there is no debuggee never"):
        lifecycle.reset("never")
    assert not lifecycle.down("never")
