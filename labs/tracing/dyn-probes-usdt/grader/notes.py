# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs in the guest: notes.py PROGRAM PROVIDER TYPES: what a program's notes say of its probes, as JSON.

TYPES: {probe: types of its arguments}. The lines that make events of the probes go to the file `events`.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

ROW = r"Provider: {}\s+Name: (\w+)\s+Location: (\w+), Base: \w+, Semaphore: (\w+)\s+Arguments:(.*)"
WORD = r"-?\d@(?:\$(-?\d+)|%(\w+)|(-?\d*)\(%(\w+)\))"


def read(*words):
    return subprocess.run(["readelf", *words], capture_output=True, text=True, check=True).stdout


def fetch(word, kind):
    """An argument of a note as a uprobe event takes it, or nothing: 4@%ebp, -4@12(%rsp), 8@$7."""
    found = re.fullmatch(WORD, word)
    if not found:
        return ""
    constant, register, far, base = found.groups()
    name = re.sub(r"^(r\d+)[dwb]$", r"\1", re.sub(r"^[re](?=\D)", "", register or base or ""))
    text = f"\\{constant}" if constant else f"%{name}" if register else f"{int(far or 0):+}(%{name})"
    return f"+0({text}):ustring" if kind == "ustring" else f"{text}:{kind}"


def main(program, provider, types):
    parts = [
        [int(number, 16) for number in row]
        for row in re.findall(r"^ *LOAD +(\w+) (\w+) \w+ (\w+)", read("-lW", program), re.M)
    ]

    def place(address):
        return next((address - start + at for at, start, size in parts if 0 <= address - start < size), 0)

    told, lines = {}, []
    for name, at, semaphore, words in re.findall(ROW.format(provider), read("-nW", program)):
        here, counter = place(int(at, 16)), place(int(semaphore, 16))
        code = Path(program).read_bytes()[here]
        told[name] = {"code": code, "semaphore": counter, "arguments": words.split()}
        pairs = zip(words.split(), json.loads(types).get(name, ()), strict=False)
        fields = [f"a{n}={text}" for n, (word, kind) in enumerate(pairs) if (text := fetch(word, kind))]
        counted = f"({counter:#x})" if counter else ""
        lines.append(f"p:{provider}/{name} {Path(program).resolve()}:{here:#x}{counted} {' '.join(fields)}\n")
    Path("events").write_text("".join(lines))
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
