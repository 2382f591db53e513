# SPDX-License-Identifier: GPL-3.0-or-later
"""From a bare host to a whole .venv, with a stand-in for pip where the real one takes a minute."""

import json
import re
import subprocess
import sys

import pytest

from klab import bootstrap

THERE = {"package": "there", "prove": ["true"], "why": "is always there"}
GONE = {"package": "gone", "prove": ["klab-no-such-program"], "why": "is never there"}
SICK = {"package": "sick", "prove": ["sh", "-c", "exit 3"], "why": "is there and does not work"}


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout of its own, and a list of the commands that ran for it."""
    for name in ("requirements.txt", "pyproject.toml"):
        (tmp_path / name).write_text("")
    monkeypatch.setattr(bootstrap, "REPO", tmp_path)
    monkeypatch.setattr(bootstrap, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(bootstrap, "STAMP", tmp_path / ".venv" / "klab-stamp.json")
    monkeypatch.setattr(bootstrap, "LOCK", tmp_path / ".cache" / "bootstrap.lock")
    monkeypatch.setattr(bootstrap, "LOG", tmp_path / ".cache" / "bootstrap.log")
    monkeypatch.setattr(bootstrap, "HOST", {"python": [3, 11], "tools": [THERE]})
    return tmp_path


@pytest.fixture
def ran(checkout, monkeypatch):
    commands = []

    def record(command, **env):
        commands.append(command)
        if command[1:3] == ["-m", "venv"]:
            (checkout / ".venv" / "bin").mkdir(parents=True)
            (checkout / ".venv" / "bin" / "python").symlink_to(sys.executable)

    monkeypatch.setattr(bootstrap, "run_logged", record)
    return commands


def pips(commands):
    return [command for command in commands if "install" in command]


def test_second_time_does_nothing(ran):
    assert bootstrap.main() == 0
    assert len(pips(ran)) == 2
    ran.clear()
    assert bootstrap.main() == 0
    assert ran == []


def test_half_made_venv_is_made_anew(checkout, ran):
    leftover = checkout / ".venv" / "lib" / "half"
    leftover.parent.mkdir(parents=True)
    leftover.touch()
    assert bootstrap.main() == 0
    assert not leftover.exists()


def test_cut_off_in_pip_leaves_no_stamp(checkout, monkeypatch, ran):
    record = bootstrap.run_logged

    def cut(command, **env):
        if "install" in command:
            raise KeyboardInterrupt
        record(command, **env)

    monkeypatch.setattr(bootstrap, "run_logged", cut)
    assert bootstrap.main() == 130
    assert not bootstrap.STAMP.exists()
    monkeypatch.setattr(bootstrap, "run_logged", record)
    assert bootstrap.main() == 0
    assert bootstrap.STAMP.exists()


def test_new_pins_update_in_place(checkout, ran):
    bootstrap.main()
    kept = checkout / ".venv" / "kept"
    kept.touch()
    ran.clear()
    (checkout / "requirements.txt").write_text("click==1\n")
    assert bootstrap.main() == 0
    assert pips(ran)
    assert kept.exists()


@pytest.mark.parametrize("key", ["python", "place"])
def test_other_python_or_place_means_a_new_venv(checkout, ran, key):
    bootstrap.main()
    old = checkout / ".venv" / "old"
    old.touch()
    stamp = json.loads(bootstrap.STAMP.read_text())
    bootstrap.STAMP.write_text(json.dumps({**stamp, key: "other"}))
    assert bootstrap.main() == 0
    assert not old.exists()


def test_missing_packages_are_named_in_one_line(checkout, monkeypatch, ran, capsys):
    monkeypatch.setattr(bootstrap, "HOST", {"python": [3, 11], "tools": [GONE, THERE, SICK]})
    monkeypatch.setattr(bootstrap.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(bootstrap.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert bootstrap.main() == 1
    said = capsys.readouterr().err
    assert "do: sudo apt-get install --no-install-recommends -y gone sick\n" in said
    assert "is never there" in said
    assert ran == []


def test_root_installs_and_looks_again(checkout, monkeypatch, ran, capsys):
    monkeypatch.setattr(bootstrap, "HOST", {"python": [3, 11], "tools": [GONE]})
    monkeypatch.setattr(bootstrap.os, "geteuid", lambda: 0)
    monkeypatch.setattr(bootstrap.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert bootstrap.main() == 1
    assert [command[:2] for command in ran] == [["apt-get", "update"], ["apt-get", "install"]]
    assert "installed, but still not answering: gone" in capsys.readouterr().err


def test_other_distribution_is_told_what_must_answer(checkout, monkeypatch, ran, capsys):
    monkeypatch.setattr(bootstrap, "HOST", {"python": [3, 11], "tools": [GONE]})
    monkeypatch.setattr(bootstrap.shutil, "which", lambda name: None)
    assert bootstrap.main() == 1
    said = capsys.readouterr().err
    assert "klab-no-such-program" in said
    assert "not Debian or Ubuntu" in said


def test_failing_command_shows_its_last_lines(checkout):
    with pytest.raises(bootstrap.Stop, match=r"(?s)ended with 7.*the reason.*bootstrap.log"):
        bootstrap.run_logged(["sh", "-c", "echo the reason; exit 7"])


def test_full_disk_is_one_sentence(checkout, monkeypatch, capsys):
    def full():
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bootstrap, "venv", full)
    assert bootstrap.main() == 1
    assert "No space left on device" in capsys.readouterr().err


def test_old_python_is_refused(monkeypatch, checkout, capsys):
    monkeypatch.setattr(bootstrap.sys, "version_info", (3, 9, 2, "final", 0))
    monkeypatch.setattr(bootstrap.shutil, "which", lambda name: None)
    assert bootstrap.main() == 1
    assert "Python 3.9.2 is too old, klab needs 3.11" in capsys.readouterr().err


def test_activated_venv_is_made_by_the_python_below(checkout, monkeypatch):
    def replaced(path, argv):
        raise SystemExit(path)

    monkeypatch.setattr(bootstrap.sys, "prefix", str(bootstrap.VENV))
    monkeypatch.setattr(bootstrap.os, "execv", replaced)
    with pytest.raises(SystemExit, match=re.escape(sys._base_executable)):
        bootstrap.main()


def test_two_at_once_wait_for_each_other(checkout, ran):
    bootstrap.LOCK.parent.mkdir(exist_ok=True)
    hold = "import fcntl, sys, time; f = open(sys.argv[1], 'w'); fcntl.flock(f, 2); "
    hold += "print('held', flush=True); time.sleep(1)"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(bootstrap.LOCK)], stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "held\n"
        assert bootstrap.main() == 0
        assert other.poll() is not None or other.wait(1) == 0


def test_this_host_has_what_host_json_asks_for():
    """The real list against the real host: where the suite runs, bootstrap has run."""
    assert not bootstrap.missing()


def test_needs_the_standard_library_only():
    """It runs before anything is installed: no site-packages here."""
    load = "import runpy, sys; runpy.run_path(sys.argv[1], run_name='loaded')"
    command = [sys.executable, "-I", "-S", "-c", load, bootstrap.__file__]
    assert subprocess.run(command, check=False).returncode == 0
