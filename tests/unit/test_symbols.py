# SPDX-License-Identifier: GPL-3.0-or-later
"""gdb's index in the version that crash reads; program headers where makedumpfile looks for them."""

import struct
from pathlib import Path

import pytest

from klab.debuggee import dumps, kdump
from klab.debuggee.proved import unproved
from klab.errors import KlabError
from klab.kernel import symbols


def test_version_9_becomes_8() -> None:
    parts = [b"units...", b"types...", b"places..", b"names...", b"shortcut", b"constants"]
    at, offsets = 28, []
    for part in parts:
        offsets.append(at)
        at += len(part)
    new = symbols.version_8(struct.pack("<7I", 9, *offsets) + b"".join(parts))
    version, *places = struct.unpack_from("<6I", new)
    assert version == 8
    ends = [*places[1:], len(new)]
    found = [new[begin:end] for begin, end in zip(places, ends, strict=True)]
    assert found == [part for part in parts if part != b"shortcut"]


def test_version_8_stays() -> None:
    index = struct.pack("<6I", 8, 24, 24, 24, 24, 24)
    assert symbols.version_8(index) == index


def test_another_version_is_refused() -> None:
    with pytest.raises(KlabError, match="version 10"):
        symbols.version_8(struct.pack("<I", 10) + b"\0" * 40)


def test_program_headers_follow_the_header(tmp_path: Path) -> None:
    """As QEMU 7 writes it: header, section headers, program headers."""
    elf = tmp_path / "memory.elf"
    segments = [bytes([n]) * 56 for n in (1, 2, 3)]
    header = bytearray(64)
    struct.pack_into("<QQ", header, 32, 64 + 128, 64)
    struct.pack_into("<HHHHHH", header, 52, 8, 56, 3, 64, 2, 1)
    elf.write_bytes(header + b"s" * 128 + b"".join(segments) + b"notes and memory")
    elf.chmod(0o400)
    dumps._mend(elf)
    data = elf.read_bytes()
    assert struct.unpack_from("<QQ", data, 32) == (64, 0)
    assert struct.unpack_from("<HHHHHH", data, 52) == (64, 56, 3, 0, 0, 0)
    assert data[64 : 64 + 3 * 56] == b"".join(segments)
    assert data.endswith(b"notes and memory")
    assert len(data) == 64 + 128 + 3 * 56 + 16


def image(folder: Path, mib: int) -> Path:
    """A file with a bzImage's word on how much it wants."""
    path = folder / "bzImage"
    path.write_bytes(b"\0" * kdump.INIT_SIZE_AT + struct.pack("<I", mib << 20))
    return path


def test_what_a_capture_kernel_wants(tmp_path: Path) -> None:
    initrd = tmp_path / "initrd"
    initrd.write_bytes(b"\0" * (3 << 20))
    kernel = image(tmp_path, 40)
    need = kdump.least(kernel, initrd)
    assert need % kdump.STEPS == 0
    assert 40 + 6 + kdump.ROOM <= need < 40 + 6 + kdump.ROOM + kdump.STEPS
    assert kdump.reserve(0, 512, kernel, initrd) == need
    assert kdump.reserve(need + 1, 512, kernel, initrd) == need + 1
    with pytest.raises(KlabError, match="is too small") as error:
        kdump.reserve(need - 1, 512, kernel, initrd)
    assert f"--crashkernel {need}" in error.value.mend
    with pytest.raises(KlabError, match="cannot be kept free") as error:
        kdump.reserve(0, 2 * need - 1, kernel, initrd)
    assert f"--memory {2 * need}" in error.value.mend


@pytest.mark.parametrize(
    ("release", "versions", "said"),
    [
        (
            "6.12.117-klab-lab",
            {"crash": "8.0.6-1", "makedumpfile": "1:1.7.6-1", "python3-drgn": "0.0.31-1"},
            [],
        ),
        (
            "6.12.1",
            {"crash": "9.0.0-1"},
            ["dumps of kernel 6.12 were tried with crash 8.0.6, here is 9.0.0"],
        ),
        ("6.1.9-klab-lab61", {}, ["dumps of kernel 6.1 were never tried; of 6.12 they were"]),
    ],
)
def test_what_was_never_tried_is_told(release: str, versions: dict[str, str], said: list[str]) -> None:
    assert unproved(release, versions) == said
