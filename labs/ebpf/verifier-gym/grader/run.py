# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs in the guest, as root: loads BPF programs and goes through steps with each.

run.py FOLDER PLAN: FOLDER/NAME.bpf.o are the programs, PLAN is JSON. What happened is printed as JSON.
"""

import ctypes
import json
import mmap
import os
import struct
import subprocess
import sys
from pathlib import Path

BPF = 321  # the number of bpf(2)
LOOKUP, UPDATE, DELETE, OBJ_GET, RUN, INFO = 1, 2, 3, 7, 10, 15
BPFFS = Path("/sys/fs/bpf")
# Serves frames of strangers: may load programs for the network, and not look into the kernel.
SERVICE = ["setpriv", "--bounding-set", "-perfmon,-sys_admin"]
LOAD_S = 60
ROOM = 1 << 16
BUSY, DISCARDED, PAGE = 1 << 31, 1 << 30, mmap.PAGESIZE
libc = ctypes.CDLL(None, use_errno=True)


def bpf(command, attributes):
    """The system call: (result, error, the attributes as the kernel left them)."""
    buffer = ctypes.create_string_buffer(attributes.ljust(128, b"\0"), 128)
    result = libc.syscall(BPF, command, buffer, 128)
    return result, ctypes.get_errno() if result < 0 else 0, buffer.raw


def at(buffer):
    return ctypes.addressof(buffer)


def opened(path):
    """A descriptor of what is pinned there, or -1."""
    name = ctypes.create_string_buffer(str(path).encode())
    return bpf(OBJ_GET, struct.pack("<QII", at(name), 0, 0))[0]


def info(fd):
    """The first fields of a program's or a map's description."""
    told = ctypes.create_string_buffer(256)
    bpf(INFO, struct.pack("<IIQ", fd, len(told), at(told)))
    return told.raw


class Program:
    """One program that was loaded, its maps and the memory that it may read."""

    def __init__(self, name, told):
        self.fd = opened(BPFFS / name)
        self.maps = {path.name: opened(path) for path in (BPFFS / f"{name}-maps").glob("*")}
        told["type"], told["bytes"] = struct.unpack_from("<I16xI", info(self.fd))
        told["maps"] = {name: struct.unpack_from("<I4xIII", info(fd)) for name, fd in self.maps.items()}

    def sizes(self, name):
        """(size of a key, size of a value)."""
        return struct.unpack_from("<8xII", info(self.maps[name]))

    def element(self, command, name, key, value):
        k, v = ctypes.create_string_buffer(key, len(key)), ctypes.create_string_buffer(value, len(value))
        _, error, _ = bpf(command, struct.pack("<I4xQQQ", self.maps[name], at(k), at(v), 0))
        return None if error else v.raw.hex()

    def put(self, name, key, value):
        key, value = bytes.fromhex(key), bytes.fromhex(value)
        fits = name in self.maps and self.sizes(name) == (len(key), len(value))
        return self.element(UPDATE, name, key, value) if fits else None

    def take(self, name, key):
        key = bytes.fromhex(key)
        if name not in self.maps or self.sizes(name)[0] != len(key):
            return None
        return self.element(DELETE, name, key, b"")

    def get(self, name, key):
        key = bytes.fromhex(key)
        if name not in self.maps or self.sizes(name)[0] != len(key):
            return None
        return self.element(LOOKUP, name, key, bytes(self.sizes(name)[1]))

    def run(self, data, context="", memory=""):
        """[error, return value, context afterwards]; memory: its address comes first in the context."""
        frame, there = bytes.fromhex(data), bytes.fromhex(memory)
        held = ctypes.create_string_buffer(there, max(len(there), 1))
        ctx = bytes.fromhex(context)
        ctx = struct.pack("<Q", at(held)) + ctx[8:] if there else ctx
        d, c = ctypes.create_string_buffer(frame, max(len(frame), 1)), ctypes.create_string_buffer(ctx, 256)
        _, error, left = bpf(RUN, struct.pack(
            "<IIIIQQIIIIQQ", self.fd, 0, len(frame), 0, at(d) if frame else 0, 0, 0, 0, len(ctx), 0,
            at(c) if ctx else 0, 0))  # fmt: skip
        return error, struct.unpack_from("<I", left, 4)[0], c.raw[: len(ctx)].hex()

    def ring(self, name):
        """Records that were submitted and not read yet; a word when one was begun and never ended."""
        if name not in self.maps:
            return None
        size = struct.unpack_from("<16xI", info(self.maps[name]))[0]
        found = []
        with (
            mmap.mmap(self.maps[name], PAGE) as reader,
            mmap.mmap(self.maps[name], PAGE + 2 * size, prot=mmap.PROT_READ, offset=PAGE) as writer,
        ):
            place, end = struct.unpack_from("<Q", reader)[0], struct.unpack_from("<Q", writer)[0]
            while place < end:
                start = PAGE + place % size
                head = struct.unpack_from("<I", writer, start)[0]
                if head & BUSY:
                    found.append("never ended")
                    break
                length = head & ~DISCARDED
                if not head & DISCARDED:
                    found.append(writer[start + 8 : start + 8 + length].hex())
                place += length + 15 & ~7
            struct.pack_into("<Q", reader, 0, place)
        return found


def load(folder, name, service):
    """What bpftool and the verifier say; the program and its maps are pinned where it went well."""
    words = [*(SERVICE if service else []), "bpftool", "prog", "load", str(folder / f"{name}.bpf.o")]
    words += [str(BPFFS / name), "pinmaps", str(BPFFS / f"{name}-maps")]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=LOAD_S, check=False)
    except subprocess.TimeoutExpired:
        return f"the verifier has not ended within {LOAD_S} s"
    return "" if done.returncode == 0 else (done.stdout + done.stderr)[-ROOM:]


def main(folder, plan):
    if not os.path.ismount(BPFFS):
        subprocess.run(["mount", "-t", "bpf", "bpf", BPFFS], check=True)
    answers = {}
    for name, wanted in json.loads(Path(plan).read_text()).items():
        told = answers[name] = {"refused": load(Path(folder), name, wanted["service"]), "steps": []}
        if not told["refused"]:
            program = Program(name, told)
            told["steps"] = [getattr(program, verb)(*given) for verb, *given in wanted["steps"]]
    print(json.dumps(answers))


if __name__ == "__main__":
    main(*sys.argv[1:])
