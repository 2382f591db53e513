# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on the machine as root: everything cheap to know about it, as one JSON object."""

import gzip
import json
import os
import sys
import time
from pathlib import Path


def read(path):
    """A file's text without its last newline; None when it cannot be read."""
    try:
        return Path(path).read_text().rstrip("\n")
    except OSError:
        return None


def config():
    """Symbols that are set in /proc/config.gz; None when the kernel has no such file."""
    try:
        with gzip.open("/proc/config.gz", "rt") as stream:
            lines = [line.rstrip("\n") for line in stream]
    except OSError:
        return None
    pairs = (line.removeprefix("CONFIG_").partition("=") for line in lines if line.startswith("CONFIG_"))
    return {name: value for name, _, value in pairs}


def accounts():
    """Password fields of /etc/shadow, by name."""
    return dict(line.split(":")[:2] for line in read("/etc/shadow").splitlines())


asked = json.loads(sys.argv[1])
uname = os.uname()
print(
    json.dumps(
        {
            "release": uname.release,
            "version": uname.version,
            "hostname": uname.nodename,
            "cmdline": read("/proc/cmdline"),
            "config": config(),
            "lsm": (read("/sys/kernel/security/lsm") or "").split(","),
            "present": {path: Path(path).exists() for path in asked["paths"]},
            "sysctls": {name: read("/proc/sys/" + name.replace(".", "/")) for name in asked["sysctls"]},
            "time": time.time(),
            "timezone": os.path.realpath("/etc/localtime").removeprefix("/usr/share/zoneinfo/"),
            "accounts": accounts(),
        }
    )
)
