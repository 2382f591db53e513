# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs in the guest, as root, when the balancer is attached: goes through steps, and prints what happened.

run.py PLAN: both are JSON; PLAN: {"steps": [[verb, …], …]}.
"""

import ctypes
import json
import os
import socket
import struct
import sys
import threading
import time
from pathlib import Path
from select import select

BPF = 321  # the number of bpf(2)
LOOKUP, UPDATE, DELETE, NEXT, OBJ_GET, RUN = 1, 2, 3, 4, 7, 10
PINS = Path("/sys/fs/bpf/lb")
ROOM, WAIT_S, PATIENCE = 2048, 2.0, 3
libc = ctypes.CDLL(None, use_errno=True)


def bpf(command, attributes):
    """The system call: (result, the attributes as the kernel left them)."""
    buffer = ctypes.create_string_buffer(attributes.ljust(128, b"\0"), 128)
    return libc.syscall(BPF, command, buffer, 128), buffer.raw


def at(buffer):
    return ctypes.addressof(buffer)


def opened(path):
    name = ctypes.create_string_buffer(str(path).encode())
    return bpf(OBJ_GET, struct.pack("<QII", at(name), 0, 0))[0]


class Steps:
    """The verbs of a plan."""

    def __init__(self):
        self.programs = {name: opened(PINS / "programs" / name) for name in ("balance", "reply")}
        names = ("service", "back_ends", "connections", "counted")
        self.maps = {name: opened(PINS / "maps" / name) for name in names}
        self.served = []
        self.held = []

    def run(self, name, frame):
        """[what the program returned, the frame afterwards], or the error."""
        data = bytes.fromhex(frame)
        given, left = ctypes.create_string_buffer(data, len(data)), ctypes.create_string_buffer(ROOM)
        head = struct.pack("<IIIIQQ", self.programs[name], 0, len(data), ROOM, at(given), at(left))
        result, said = bpf(RUN, head)
        if result < 0:
            return [f"error {ctypes.get_errno()}", ""]
        returned, _, size = struct.unpack_from("<III", said, 4)
        return [returned, left.raw[:size].hex()]

    def element(self, command, name, key, value):
        k, v = ctypes.create_string_buffer(key, len(key)), ctypes.create_string_buffer(value, len(value))
        second = 0 if command == DELETE else at(v)  # it wants nothing there
        result, _ = bpf(command, struct.pack("<I4xQQQ", self.maps[name], at(k), second, 0))
        return None if result < 0 else v.raw

    def put(self, name, key, value):
        return self.element(UPDATE, name, struct.pack("<I", key), bytes.fromhex(value)) is not None

    def counted(self, number):
        """[connections, packets] of all CPUs together."""
        cpus = os.sysconf("SC_NPROCESSORS_CONF")
        each = self.element(LOOKUP, "counted", struct.pack("<I", number), bytes(16 * cpus))
        pairs = list(struct.iter_unpack("<QQ", each or bytes(16)))
        return [sum(pair[n] for pair in pairs) for n in (0, 1)]

    def forget(self):
        """Empties the table of connections; how many there were."""
        key, found = bytes(8), 0
        while (following := self.element(NEXT, "connections", key, bytes(8))) is not None:
            if self.element(DELETE, "connections", following, b"") is None:
                break
            found += 1
        return found

    def serve(self, places):
        """Back ends that say their number to each connection, and again for each byte that comes."""
        listeners = []

        def prepare():
            for number, place in enumerate(places):
                with Path(f"/var/run/netns/b{number}").open("rb") as space:
                    os.setns(space.fileno(), os.CLONE_NEWNET)
                listener = socket.create_server(tuple(place), backlog=64)
                listeners.append((listener, number))
            ready.set()
            connections = {}
            while True:
                waiting = [listener for listener, _ in listeners] + list(connections)
                for each in select(waiting, [], [])[0]:
                    number = dict(listeners).get(each)
                    if number is not None:
                        new = each.accept()[0]
                        connections[new] = number
                        new.send(b"%d" % number)
                    elif each.recv(1):
                        each.send(b"%d" % connections[each])
                    else:
                        del connections[each]
                        each.close()

        ready = threading.Event()
        threading.Thread(target=prepare, daemon=True).start()
        # From here on this thread is a client.
        with Path("/var/run/netns/client").open("rb") as space:
            os.setns(space.fileno(), os.CLONE_NEWNET)
        return ready.wait(10)

    def ask(self, connection):
        try:
            return connection.recv(1).decode() or "closed"
        except OSError as error:
            return str(error)

    def connect(self, place, times, hold=0):
        """What connections are told; the last `hold` ones stay. Not all of them when none comes through."""
        told = []
        for n in range(times):
            connection = socket.socket()
            connection.settimeout(WAIT_S)
            try:
                connection.connect(tuple(place))
                told.append(self.ask(connection))
            except OSError as error:
                told.append(str(error))
            if n >= times - hold:
                self.held.append(connection)
            else:
                connection.close()
            if told[-PATIENCE:] == [told[-1]] * PATIENCE and not told[-1].isdigit():
                break
        return told

    def again(self):
        """What those that stay are told now."""
        told = []
        for connection in self.held:
            try:
                connection.send(b"?")
                told.append(self.ask(connection))
            except OSError as error:
                told.append(str(error))
            if len(told) >= PATIENCE and not any(word.isdigit() for word in told):
                break
        return told


def main(plan):
    steps = Steps()
    began = time.monotonic()
    told = [getattr(steps, verb)(*given) for verb, *given in json.loads(Path(plan).read_text())["steps"]]
    print(json.dumps({"told": told, "seconds": time.monotonic() - began}))
    sys.stdout.flush()
    os._exit(0)  # the back ends wait for ever


if __name__ == "__main__":
    main(*sys.argv[1:])
