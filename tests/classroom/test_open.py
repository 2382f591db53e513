# SPDX-License-Identifier: GPL-3.0-or-later
"""A class opened by its playbook over computers that are there: real ssh, role lab_machine as it is."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from fixtures import playbooks, tinylabs
from klab.classroom import reach

PENDING = "/var/lib/klab/settings-pending"
KEYS = "/home/student/.ssh/authorized_keys"


class Opened:
    """The playbook's runs on a room."""

    def __init__(self, room) -> None:
        self.room = room

    @property
    def env(self) -> dict[str, str]:
        """What Ansible is told of seats that come and go."""
        return {
            "ANSIBLE_PRIVATE_KEY_FILE": str(reach.client_key(self.room.class_)),
            "ANSIBLE_HOST_KEY_CHECKING": "False",
            "ANSIBLE_SSH_ARGS": "-o UserKnownHostsFile=/dev/null",
        }

    def killed(self, play: str, wait_s: float) -> None:
        """Begin to open it, and pull this computer's plug, as it were, so long after that play began."""
        with subprocess.Popen(
            playbooks.command("classroom_open", "-i", str(self.room.folder)),
            cwd=playbooks.REPO,
            env=playbooks.environment(self.env),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as run:
            assert run.stdout
            assert any(line.startswith(f"PLAY [{play}") for line in run.stdout)
            time.sleep(wait_s)
            os.killpg(run.pid, signal.SIGKILL)

    def run(self, *words: str, code: int = 0) -> dict[str, int]:
        """Open it; what changed, by seat."""
        inventory = str(self.room.folder)
        recap, said = playbooks.play("classroom_open", "-i", inventory, *words, env=self.env, code=code)
        assert not (self.room.class_.state / "claim.json").exists(), "the class is still claimed"
        self.said = said
        return {seat: counts["changed"] for seat, counts in recap.items() if seat != "localhost"}


@pytest.fixture
def opened(room) -> Opened:
    """A room that was opened once."""
    made = Opened(room)
    made.run()
    return made


def test_again_changes_nothing_but_what_is_missing(opened: Opened) -> None:
    room = opened.room
    teacher = reach.client_key(room.class_).with_suffix(".pub").read_text().strip()
    assert [row["labs"] for row in room.klab("status")["seats"]] == [{tinylabs.ID: "started"}] * 3
    assert [seat.run(f"grep -c '{teacher}' {KEYS}").strip() for seat in room.seats] == ["1"] * 3
    assert set(opened.run().values()) == {0}

    one, two, three = room.seats
    one.run(f"touch {PENDING}")  # as a run leaves it that was cut off
    two.run("usermod -s /bin/sh -c Somebody student")
    three.run(f"echo 'ssh-ed25519 AAAA mine' >>{KEYS}; rm /etc/sysctl.d/60-klab.conf")
    changed = opened.run()
    assert min(changed.values()) > 0
    one.run(f"test ! -e {PENDING}")
    assert two.run("getent passwd student").strip() == "student:x:1000:1000:Student:/home/student:/bin/bash"
    assert "kernel.dmesg_restrict = 0" in three.run(f"cat /etc/sysctl.d/60-klab.conf; test ! -e {PENDING}")
    assert "mine" in three.run(f"cat {KEYS}"), "somebody's key is gone"
    assert set(opened.run().values()) == {0}


def test_a_rehearsal_says_what_it_would_do(opened: Opened) -> None:
    seat = opened.room.seats[0]
    seat.run("usermod -s /bin/sh student; rm /etc/sysctl.d/60-klab.conf")
    assert opened.run("--check", "--diff", "--limit", "light-s01") == {"light-s01": 3}
    assert "+kernel.dmesg_restrict = 0" in opened.said
    assert seat.run("getent passwd student").strip().endswith("/bin/sh")
    seat.run("test ! -e /etc/sysctl.d/60-klab.conf")


def test_settings_that_sshd_refuses_are_never_in_force(opened: Opened) -> None:
    seat = opened.room.seats[0]
    seat.run("echo Nonsense yes >/etc/ssh/sshd_config.d/90-theirs.conf; rm /etc/sysctl.d/60-klab.conf")
    opened.run(code=2)
    assert "Nonsense" in opened.said
    assert "1 seats to do again" in opened.said
    seat.run(f"test -e {PENDING}; rm /etc/ssh/sshd_config.d/90-theirs.conf")
    failed = Path(opened.room.class_.state, "failed")
    assert opened.run("--limit", f"@{failed}")["light-s01"] > 0
    seat.run(f"test ! -e {PENDING}")


@pytest.mark.parametrize(("play", "wait_s"), [("Set up the computers", 1.0), ("Give out the labs", 0.0)])
def test_a_run_that_is_killed_is_in_nobody_s_way(room, play: str, wait_s: float) -> None:
    for seat in room.seats:
        seat.run("rm /etc/sysctl.d/60-klab.conf")
    made = Opened(room)
    made.killed(play, wait_s)
    assert (room.class_.state / "claim.json").exists(), "it was not killed at work"
    made.run()
    assert [row["labs"] for row in room.klab("status")["seats"]] == [{tinylabs.ID: "started"}] * 3
    for seat in room.seats:
        seat.run(f"test -e /etc/sysctl.d/60-klab.conf; test ! -e {PENDING}")
    assert set(made.run().values()) == {0}
