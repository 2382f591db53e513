# SPDX-License-Identifier: GPL-3.0-or-later
"""What a guest sent over its network card: the datagrams in the file that QEMU writes of it.

Formats: pcap (libpcap's pcap-savefile(5)), Ethernet II, IPv4 (RFC 791), UDP (RFC 768).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

FILE, RECORD = struct.Struct("<IHHiIII"), struct.Struct("<IIII")
MAGIC = 0xA1B2C3D4
ETHERNET, IPV4, UDP = 14, b"\x08\x00", 17
NETCONSOLE = 6666  # the port that it sends to


def frames(path: Path) -> Iterator[bytes]:
    """The whole frames so far; none when there is no such file, or it is no pcap of this computer."""
    data = path.read_bytes() if path.exists() else b""
    if len(data) < FILE.size or FILE.unpack_from(data)[0] != MAGIC:
        return
    at = FILE.size
    while at + RECORD.size <= len(data):
        length = RECORD.unpack_from(data, at)[2]
        at += RECORD.size
        if at + length <= len(data):
            yield data[at : at + length]
        at += length


def shown(sent: Iterable[bytes]) -> bytes:
    """What came over the wire, for people."""
    return b"".join(b"netconsole: " + each.rstrip(b"\n") + b"\n" for each in sent)


def datagrams(path: Path, port: int = NETCONSOLE) -> list[bytes]:
    """What was sent to a UDP port over IPv4, in order."""
    found = []
    for frame in frames(path):
        packet = frame[ETHERNET:]
        if frame[12:ETHERNET] != IPV4 or len(packet) < 20 or packet[9] != UDP:
            continue
        datagram = packet[(packet[0] & 15) * 4 :]
        if len(datagram) >= 8 and int.from_bytes(datagram[2:4]) == port:
            found.append(datagram[8 : int.from_bytes(datagram[4:6])])
    return found
