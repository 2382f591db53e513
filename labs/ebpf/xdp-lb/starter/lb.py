#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Configures the balancer, by bpftool. Complete.

lb.py service ADDRESS PORT | back NUMBER ADDRESS PORT up|down | show
"""

import json
import socket
import struct
import subprocess
import sys

MAPS = "/sys/fs/bpf/lb/maps"


def words(data):
    return [str(byte) for byte in data]


def put(name, key, value):
    command = ["bpftool", "map", "update", "pinned", f"{MAPS}/{name}", "key", *words(struct.pack("=I", key))]
    subprocess.run([*command, "value", *words(value)], check=True)


def place(address, port):
    return socket.inet_aton(address) + struct.pack(">HH", int(port), 0)


def show():
    for name in ("service", "back_ends", "connections", "counted"):
        command = ["bpftool", "-j", "map", "dump", "pinned", f"{MAPS}/{name}"]
        found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        print(name, *(json.dumps(each.get("formatted", each)) for each in found), sep="\n  ")


def main(verb="show", *given):
    if verb == "service":
        put("service", 0, place(*given))
    elif verb == "back":
        number, address, port, state = given
        put("back_ends", int(number), place(address, port) + struct.pack("=I", state == "up"))
    else:
        show()


if __name__ == "__main__":
    main(*sys.argv[1:])
