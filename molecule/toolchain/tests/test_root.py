# SPDX-License-Identifier: GPL-3.0-or-later
"""A root folder that roles toolchain and lab_machine provisioned, seen from inside."""

import pytest
import yaml

from klab.paths import cache_dir, repo_dir
from klab.testing.machines import inside


@pytest.fixture(scope="module")
def root():
    return inside(cache_dir() / "work/ci/root1/root")


def role(name: str, part: str) -> dict:
    return yaml.safe_load((repo_dir() / "roles" / name / part / "main.yml").read_text())


def test_each_package_of_the_set_is_installed(root) -> None:
    wanted = set(role("toolchain", "vars")["__toolchain_sets"]["base"]["packages"])
    listed = root.check_output("dpkg-query -W -f '${Package} ${db:Status-Abbrev}\n'").splitlines()
    installed = {line.split()[0] for line in listed if line.split()[1] == "ii"}
    assert wanted
    assert wanted <= installed


def test_tools_run(root) -> None:
    assert root.check_output("jq -n 6*7") == "42"
    assert root.run("git --version").succeeded


def test_student_has_an_account_and_no_password(root) -> None:
    student = root.user("student")
    assert (student.uid, student.shell, student.home) == (1000, "/bin/bash", "/home/student")
    assert student.password.startswith(("!", "*"))
    assert root.check_output("runuser -u student -- sudo -n id -u") == "0"
    labs = root.file("/home/student/labs")
    assert labs.is_directory
    assert labs.user == "student"


def test_root_has_no_password(root) -> None:
    assert root.user("root").password.startswith(("!", "*"))


def test_sshd_takes_keys_only(root) -> None:
    # sshd reads host keys even to print its settings; an image has none yet.
    said = root.check_output(
        "mkdir -p /run/sshd; ssh-keygen -q -t ed25519 -N '' -f /tmp/key; /usr/sbin/sshd -T -h /tmp/key"
    )
    settings = dict(line.partition(" ")[::2] for line in said.lower().splitlines())
    assert settings["passwordauthentication"] == "no"
    assert settings["kbdinteractiveauthentication"] == "no"
    assert settings["permitrootlogin"] == "no"


def test_kernel_settings_are_written_with_their_reasons(root) -> None:
    text = root.file("/etc/sysctl.d/60-klab.conf").content_string
    wanted = role("lab_machine", "vars")["__lab_machine_sysctls"]
    assert wanted
    for name, setting in wanted.items():
        assert f"# {setting['reason']}\n{name} = {setting['value']}" in text


def test_systemd_accepts_what_the_boot_was_given(root) -> None:
    # Without a running systemd: its own checker reads the units as it would at boot.
    units = root.check_output("cd /etc/systemd/system && ls -d klab-*.*").split()
    assert units
    done = root.run(f"systemd-analyze verify --man=no {' '.join(units)} ssh.service default.target")
    assert done.succeeded, done.stderr
    assert "klab" not in done.stderr
