#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""sums.py DEVICE: packets leave it with complete checksums. A card would see to that; a veth does not."""

import ctypes
import fcntl
import socket
import struct
import sys

SIOCETHTOOL, ETHTOOL_STXCSUM = 0x8946, 0x17

off = ctypes.create_string_buffer(struct.pack("=II", ETHTOOL_STXCSUM, 0))
request = struct.pack("16sQ16x", sys.argv[1].encode(), ctypes.addressof(off))
with socket.socket() as any_socket:
    fcntl.ioctl(any_socket, SIOCETHTOOL, request)
