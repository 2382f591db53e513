# SPDX-License-Identifier: GPL-3.0-or-later
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from klab import run
from klab.errors import KlabError


def gone(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rsplit(")", 1)[1].split()[0] == "Z"


def wait_until(true: Callable[[], bool], patience_s: float = 10) -> None:
    end = time.monotonic() + patience_s
    while not true():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.05)


def test_the_log_begins_with_the_line_that_repeats_the_run(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    run.logged(["sh", "-c", "echo $WORD > made"], log=log, step="s", cwd=tmp_path, env={"WORD": "a b"})
    line = log.read_text().splitlines()[0].removeprefix("# to repeat: ")
    (tmp_path / "made").unlink()
    subprocess.run(["sh", "-c", line], check=True)
    assert (tmp_path / "made").read_text() == "a b\n"
    assert shlex.quote("a b") in line


def test_a_failure_tells_status_step_log_and_last_lines(tmp_path: Path) -> None:
    with pytest.raises(KlabError) as caught:
        run.logged(["sh", "-c", "echo the reason; exit 7"], log=tmp_path / "a.log", step="one: two")
    assert "status 7" in caught.value.what
    assert "the reason" in caught.value.what
    assert caught.value.step == "one: two"
    assert caught.value.log == str(tmp_path / "a.log")


def test_the_first_error_is_shown_however_much_came_after_it(tmp_path: Path) -> None:
    script = "echo 'a.c:1: error: the cause' ; seq 100; exit 2"
    with pytest.raises(KlabError) as caught:
        run.logged(["sh", "-c", script], log=tmp_path / "a.log", step="s")
    assert "the cause" in caught.value.what
    assert "100" not in caught.value.what


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    with pytest.raises(KlabError, match="disk space"):
        run.logged(["dd", "if=/dev/zero", "of=/dev/full", "count=1"], log=tmp_path / "a.log", step="s")


def test_a_missing_program_is_named(tmp_path: Path) -> None:
    with pytest.raises(KlabError, match="cannot run klab-no-such-program"):
        run.logged(["klab-no-such-program"], log=tmp_path / "a.log", step="s")


def test_the_deadline_ends_the_whole_process_group(tmp_path: Path) -> None:
    with pytest.raises(KlabError, match="did not end within"):
        run.logged(
            ["sh", "-c", "sleep 60 & echo $! > child; wait"],
            log=tmp_path / "a.log",
            step="s",
            cwd=tmp_path,
            deadline_s=0.5,
        )
    wait_until(lambda: gone(int((tmp_path / "child").read_text())))


def test_what_we_started_ends_with_us_even_when_we_are_killed(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from klab import run\n"
        "run.logged(['sh', '-c', 'echo $$ > child; exec sleep 60'], log=Path('a.log'), step='s')"
    )
    ours = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path)
    child = tmp_path / "child"
    wait_until(lambda: child.exists() and child.read_text().strip() != "")
    ours.kill()
    ours.wait()
    wait_until(lambda: gone(int(child.read_text())))


def test_lines_arrive_while_it_runs_and_cpu_time_is_counted(tmp_path: Path) -> None:
    seen: list[str] = []
    script = "echo one; i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done; echo two"
    used = run.logged(["sh", "-c", script], log=tmp_path / "a.log", step="s", on_line=seen.append)
    assert seen == ["one", "two"]
    assert 0 < used.cpu_s <= used.wall_s * 4
