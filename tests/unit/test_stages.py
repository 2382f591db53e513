# SPDX-License-Identifier: GPL-3.0-or-later
"""Progress lines appear while a task runs; stages are timed. By a real ansible-playbook."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from klab.stages import Follower, Stages

REPO = Path(__file__).resolve().parents[2]
PLAYBOOK = """
- name: Nobody
  hosts: nobody
  gather_facts: false
  tasks:
    - name: Never
      ansible.builtin.command: "false"
- name: Slow stage
  hosts: localhost
  connection: local
  gather_facts: false
  vars:
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
  tasks:
    - name: Build
      ansible.builtin.shell: |
        echo 'kernel_build lab: 10%' >>"$KLAB_PROGRESS"
        for turn in $(seq 100); do [ -e {{ seen }} ] && exit 0; sleep 0.1; done
        exit 1
"""


def test_line_is_shown_while_its_task_still_runs(tmp_path):
    (tmp_path / "play.yml").write_text(PLAYBOOK)
    seen = tmp_path / "seen"
    env = {
        **os.environ,
        "ANSIBLE_CONFIG": str(REPO / "ansible.cfg"),
        "KLAB_STATE": str(tmp_path / "state"),
        "ANSIBLE_HOME": str(tmp_path / "home"),
        "TMPDIR": str(tmp_path),
    }
    command = [Path(sys.executable).parent / "ansible-playbook", "-i", "localhost,", "play.yml"]
    with subprocess.Popen(
        [*command, "-e", f"seen={seen}"], cwd=tmp_path, env=env, stdout=subprocess.PIPE, text=True
    ) as run:
        shown = []
        for line in run.stdout:
            shown.append(line.rstrip("\n"))
            if line == "    kernel_build lab: 10%\n":
                seen.touch()  # only now may the task end
    assert run.returncode == 0, "\n".join(shown)
    assert shown.index("TASK [Build] ".ljust(80, "*")) < shown.index("    kernel_build lab: 10%")
    stages = json.loads((tmp_path / "state" / "logs" / "stages.json").read_text())["stages"]
    assert [stage["name"] for stage in stages] == ["Slow stage"]
    assert any(line.startswith("Slow stage  ") for line in shown)
    assert not list(tmp_path.glob("klab-progress-*"))


@pytest.fixture
def pipe():
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def test_follower_shows_whole_lines_only(tmp_path, pipe):
    reader, writer = pipe
    sink = tmp_path / "progress"
    sink.write_text("one\ntw")
    follower = Follower(sink, out=writer)
    follower.start()
    time.sleep(0.8)
    assert os.read(reader, 1000) == b"    one\n"
    with sink.open("a") as stream:
        stream.write("o\n")
    follower.stop()
    assert os.read(reader, 1000) == b"    two\n"


def test_follower_outlives_a_missing_file(tmp_path):
    follower = Follower(tmp_path / "never")
    follower.start()
    follower.stop()


def test_stages_without_work_are_left_out(tmp_path, monkeypatch):
    monkeypatch.setenv("KLAB_STATE", str(tmp_path))
    stages = Stages()
    stages.begin("Idle")
    stages.begin("Kernel")
    stages.touch()
    stages.begin("Image")
    stages.touch()
    lines = stages.finish()
    assert [line.split()[0] for line in lines] == ["Kernel", "Image"]


def test_stages_that_cannot_be_kept_do_not_stop_a_run(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("KLAB_STATE", str(tmp_path / "file"))
    stages = Stages()
    stages.begin("Kernel")
    stages.touch()
    assert stages.finish() == ["Kernel  0 s"]
