# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys of one machine, and what lets each side know the other from the first second.

Both key pairs are made here, on the control side: the client's public key and the
whole host key go in as systemd credentials, so that known_hosts is right before the
first boot and nobody ever types a password or `yes`.
"""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Mapping
from pathlib import Path

from klab.errors import KlabError
from klab.machine.model import Machine

ACCOUNT = "student"
CLIENT, HOST = "id_ed25519", "host_ed25519"
HEAD = "# made by klab; see ssh_config(5)\n"


# For each connection of ours: only the keys that klab made, and one connection for many commands.
# Emulated machines pay for each handshake, so the key exchange is the cheapest safe one.
SETTINGS: dict[str, str | int] = {
    "IdentitiesOnly": "yes",
    "GlobalKnownHostsFile": "/dev/null",
    "StrictHostKeyChecking": "yes",
    "PasswordAuthentication": "no",
    "KexAlgorithms": "curve25519-sha256",
    "ControlMaster": "auto",
    "ControlPersist": 600,
    "ServerAliveInterval": 15,
    "LogLevel": "ERROR",
}


def pair(path: Path, comment: str, machine: str) -> Path:
    """Make the key pair `path`, `path`.pub unless it is there. Raises KlabError without ssh-keygen."""
    if path.exists() and path.with_name(f"{path.name}.pub").exists():
        return path
    path.unlink(missing_ok=True)
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)]
    try:
        subprocess.run(argv, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", "") or error
        raise KlabError(
            f"ssh-keygen failed: {said}",
            step="vm: keys",
            machine=machine,
            mend="apt-get install openssh-client",
        ) from None
    return path


def _file(path: str, mode: str, owner: str, content: bytes, *, again: bool) -> str:
    """A tmpfiles.d line that writes a file; `again` puts it back at each boot."""
    kind = "f+~" if again else "f~"
    return f"{kind} {path} {mode} {owner} {owner} - {base64.b64encode(content).decode()}"


def _credentials(machine: Machine, host: Path) -> dict[str, str]:
    """systemd's credentials for the first boot (systemd.system-credentials(7))."""
    name = f"{machine.name}\n".encode()
    lines = [
        _file("/etc/hostname", "0644", "root", name, again=False),  # so that it is not only transient
        f"d /home/{ACCOUNT}/.ssh 0700 {ACCOUNT} {ACCOUNT} -",
        _file(
            f"/home/{ACCOUNT}/.ssh/authorized_keys",
            "0600",
            ACCOUNT,
            authorized(machine).encode(),
            again=False,  # the student may add keys
        ),
        _file("/etc/ssh/ssh_host_ed25519_key", "0600", "root", host.read_bytes(), again=True),
        _file(
            "/etc/ssh/ssh_host_ed25519_key.pub", "0644", "root", Path(f"{host}.pub").read_bytes(), again=True
        ),
    ]
    return {"system.hostname": machine.name, "tmpfiles.extra": "\n".join(lines) + "\n"}


def authorized(machine: Machine) -> str:
    """The lines of authorized_keys: who may log in as the student from the first second."""
    lines = [machine.file(f"{CLIENT}.pub").read_text().strip(), *machine.authorized]
    return "".join(f"{line}\n" for line in lines)


def ssh_config(machine: Machine) -> str:
    """The text of the machine's ssh_config."""
    settings = {
        **SETTINGS,
        "HostName": machine.listen,
        "Port": machine.ssh_port,
        "User": ACCOUNT,
        "IdentityFile": f'"{machine.file(CLIENT)}"',
        "HostKeyAlias": machine.name,
        "HostKeyAlgorithms": "ssh-ed25519",
        "UserKnownHostsFile": f'"{machine.file("known_hosts")}"',
        "ControlPath": f'"{machine.socket("ssh")}"',
    }
    return HEAD + block(machine.name, settings)


def block(name: str, settings: Mapping[str, str | int]) -> str:
    """What an ssh_config says of one host."""
    return f"Host {name}\n" + "".join(f"    {key} {value}\n" for key, value in settings.items())


def write(machine: Machine) -> None:
    """Make what is missing of keys, known_hosts, ssh_config and credentials."""
    pair(machine.file(CLIENT), f"klab@{machine.name}", machine.name)
    host = pair(machine.file(HOST), machine.name, machine.name)
    kind, key = Path(f"{host}.pub").read_text().split()[:2]
    machine.file("known_hosts").write_text(f"{machine.name} {kind} {key}\n")
    machine.ssh_config.write_text(ssh_config(machine))
    folder = machine.file("credentials")
    folder.mkdir(mode=0o700, exist_ok=True)
    for name, text in _credentials(machine, host).items():
        path = folder / name
        path.touch(mode=0o600)
        path.write_text(text)
