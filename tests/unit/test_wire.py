# SPDX-License-Identifier: GPL-3.0-or-later
"""What a guest sent: frames and datagrams, whole ones alone."""

from pathlib import Path

import pytest

from klab.guest import wire


def frame(
    payload: bytes, *, port: int = wire.NETCONSOLE, protocol: int = 17, kind: bytes = b"\x08\x00"
) -> bytes:
    """An Ethernet frame with an IPv4 packet without options."""
    udp = (1234).to_bytes(2) + port.to_bytes(2) + (8 + len(payload)).to_bytes(2) + b"\0\0" + payload
    head = b"\x45\0" + (20 + len(udp)).to_bytes(2) + b"\0" * 5 + bytes([protocol]) + b"\0" * 10
    return b"\xff" * 12 + kind + head + udp


def pcap(*frames: bytes) -> bytes:
    """The file of these frames."""
    data = wire.FILE.pack(wire.MAGIC, 2, 4, 0, 0, 65536, 1)
    return data + b"".join(wire.RECORD.pack(0, 0, len(each), len(each)) + each for each in frames)


@pytest.mark.parametrize(
    ("frames", "found"),
    [
        ([frame(b"one\n"), frame(b"two")], [b"one\n", b"two"]),
        ([frame(b"one", port=53), frame(b"tcp", protocol=6), frame(b"six", kind=b"\x86\xdd")], []),
        ([frame(b"padded") + b"\0" * 30], [b"padded"]),
        ([b"short", frame(b"one")], [b"one"]),
    ],
)
def test_datagrams(tmp_path: Path, frames: list[bytes], found: list[bytes]) -> None:
    path = tmp_path / "net.pcap"
    path.write_bytes(pcap(*frames))
    assert wire.datagrams(path) == found


@pytest.mark.parametrize("data", [b"", b"no pcap at all, but long enough", pcap(frame(b"x"))[:-3]])
def test_what_is_not_whole_is_nothing(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "net.pcap"
    path.write_bytes(data)
    assert wire.datagrams(path) == []


def test_no_file_is_nothing(tmp_path: Path) -> None:
    assert wire.datagrams(tmp_path / "none") == []


def test_shown() -> None:
    assert wire.shown([b"one\n", b"two"]) == b"netconsole: one\nnetconsole: two\n"
