# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of the balancer: frames as the grader makes and reads them, and steps of them."""

import socket
import struct
from dataclasses import dataclass, replace

ETHERNET = bytes.fromhex("0200000000010200000000020800")
TCP, UDP, ICMP = 6, 17, 1
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
IP_SUM, TCP_SUM = 10, 16  # where they lie in their headers
XDP_DROP, XDP_PASS = 1, 2
BACKS, CLIENTS, LATER = 4, 360, 60
REAL, HELD, DIRECT = 24, 12, 2


def ones(data):
    """The sum of 16-bit words that is 0xffff over data whose checksum is right."""
    total = sum(struct.unpack(f">{len(data) // 2 + len(data) % 2}H", data + bytes(len(data) % 2)))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


@dataclass(frozen=True)
class Place:
    """An address and a port."""

    address: str
    port: int

    @property
    def raw(self):
        """As it lies in a map."""
        return socket.inet_aton(self.address) + struct.pack(">HH", self.port, 0)


@dataclass(frozen=True)
class Packet:
    """A TCP packet, or one of another protocol with the same ports."""

    source: Place
    to: Place
    flags: int = SYN
    payload: bytes = b""
    options: bytes = b""
    protocol: int = TCP
    fragment: int = 0
    number: int = 1

    def frame(self):
        """All bytes of it, with checksums."""
        ports = struct.pack(">HH", self.source.port, self.to.port)
        if self.protocol == TCP:
            rest = struct.pack(">IIBBHHH", self.number, 7, 5 << 4, self.flags, 8192, 0, 0)
        else:
            rest = struct.pack(">HH", 8 + len(self.payload), 0)
        segment = bytearray(ports + rest + self.payload)
        ends = socket.inet_aton(self.source.address) + socket.inet_aton(self.to.address)
        if self.protocol == TCP:
            pseudo = ends + struct.pack(">HH", TCP, len(segment))
            struct.pack_into(">H", segment, TCP_SUM, 0xFFFF - ones(pseudo + segment))
        words = 5 + len(self.options) // 4
        size = words * 4 + len(segment)
        head = bytearray(struct.pack(
            ">BBHHHBBH", 4 << 4 | words, 0, size, self.number & 0xFFFF, self.fragment, 64, self.protocol, 0
        ) + ends + self.options)  # fmt: skip
        struct.pack_into(">H", head, IP_SUM, 0xFFFF - ones(head))
        return ETHERNET + bytes(head) + bytes(segment)

    def moved(self, **ends):
        """The same with another end."""
        return replace(self, **ends)


def places(frame):
    """(where it comes from, where it goes to)."""
    ip = frame[len(ETHERNET) :]
    size = (ip[0] & 15) * 4
    ports = struct.unpack_from(">HH", ip, size)
    return tuple(Place(socket.inet_ntoa(ip[12 + 4 * n : 16 + 4 * n]), ports[n]) for n in (0, 1))


def without_sums(frame):
    """The frame with both checksums 0."""
    ip = bytearray(frame[len(ETHERNET) :])
    size = (ip[0] & 15) * 4
    for place in (IP_SUM, size + TCP_SUM):
        ip[place : place + 2] = bytes(2)
    return bytes(ip)


def flaws(frame):
    """Which checksums of a TCP frame are wrong."""
    ip = frame[len(ETHERNET) :]
    size = (ip[0] & 15) * 4
    pseudo = ip[12:20] + struct.pack(">HH", TCP, len(ip) - size)
    found = ["IP"] if ones(ip[:size]) != 0xFFFF else []
    return found + (["TCP"] if ones(pseudo + ip[size:]) != 0xFFFF else [])


class Scene:
    """What is asked of the balancer: steps by name, each with the packets that it is about."""

    def __init__(self, random):
        self.random = random
        self.service = Place("10.9.0.1", random.randrange(1024, 30000))
        port = random.randrange(30000, 60000)
        self.backs = [Place(f"10.2.{n}.2", port + random.randrange(2)) for n in range(BACKS)]
        self.gone, *_, self.new = random.sample(range(BACKS), BACKS)
        self.clients = [self.client() for _ in range(CLIENTS)]
        self.later = random.sample(self.clients, LATER)
        self.steps, self.names, self.sent = [], {}, {}
        self.begin()
        self.others()
        self.replies()
        self.real()

    def client(self):
        r = self.random
        address = f"{r.randrange(11, 200)}.{r.randrange(256)}.{r.randrange(256)}.{r.randrange(1, 255)}"
        return Place(address, r.randrange(1024, 65536))

    def add(self, name, *steps):
        self.names[name] = (len(self.steps), len(self.steps) + len(steps))
        self.steps += steps

    def packets(self, name, program, packets):
        self.sent[name] = packets
        self.add(name, *(("run", program, packet.frame().hex()) for packet in packets))

    def packet(self, client, flags):
        r = self.random
        options = b"\x01" * 4 * r.choice([0, 0, 0, 1, 3])
        payload = b"" if flags == SYN else r.randbytes(r.randrange(1, 90))
        return Packet(client, self.service, flags, payload, options, number=r.randrange(1, 1 << 32))

    def states(self, *up):
        return [
            ("put", "back_ends", n, (place.raw + (n in up).to_bytes(4, "little")).hex())
            for n, place in enumerate(self.backs)
        ]

    def begin(self):
        old = [n for n in range(BACKS) if n != self.new]
        now = [n for n in range(BACKS) if n != self.gone]
        self.add("configure", ("put", "service", 0, self.service.raw.hex()), *self.states(*old))
        self.packets("first", "balance", [self.packet(client, SYN) for client in self.clients])
        self.packets("data", "balance", [self.packet(client, ACK) for client in self.later])
        self.add("less", *self.states(*(n for n in old if n != self.gone)))
        self.packets("kept", "balance", [self.packet(client, ACK | PSH) for client in self.later])
        self.packets("one gone", "balance", [self.packet(client, SYN) for client in self.clients])
        self.add("more", *self.states(*now))
        self.packets("kept too", "balance", [self.packet(client, ACK | FIN) for client in self.later])
        self.packets("second", "balance", [self.packet(client, SYN) for client in self.clients])
        self.add("counts", *(("counted", n) for n in range(BACKS)))
        self.add("forget", ("forget",))
        self.packets("unknown", "balance", [self.packet(client, ACK) for client in self.later])

    def others(self):
        r = self.random
        syn = self.packet(self.client(), SYN)
        first = self.packet(r.choice(self.later), ACK)
        self.packets("others", "balance", [
            syn.moved(to=Place(self.service.address, self.service.port + 1)),
            syn.moved(to=Place("10.9.0.2", self.service.port)),
            syn.moved(protocol=UDP, payload=b"a datagram of some length"),
            first.moved(fragment=0x2000), first.moved(fragment=r.randrange(1, 0x1FFF)),
        ])  # fmt: skip
        whole = syn.moved(options=b"").frame()
        cut = [
            whole[: r.randrange(14, 34)],
            whole[: r.randrange(35, 53)],
            bytes(12) + b"\x86\xdd" + whole[14:],
        ]
        self.add("cut", *(("run", "balance", frame.hex()) for frame in cut))
        self.cut = cut
        self.add("after", *(("counted", n) for n in range(BACKS)))

    def replies(self):
        # Where each client is, is only known when it was asked: so each back end answers each client.
        clients = self.random.sample(self.later, 12)
        self.packets("reply", "reply", [
            self.packet(client, ACK).moved(source=back, to=client)
            for client in clients for back in self.backs
        ])  # fmt: skip
        back, client = self.random.choice(self.backs), self.random.choice(clients)
        self.packets("strangers", "reply", [
            self.packet(client, ACK).moved(source=back, to=self.client()),
            self.packet(client, ACK).moved(source=Place(back.address, 22), to=client),
            self.packet(client, ACK).moved(source=back, to=client, protocol=UDP),
        ])  # fmt: skip
        self.add("nobody", *self.states())
        self.packets("dropped", "balance", [self.packet(self.client(), SYN)])
        self.packets("stay", "balance", [self.packet(client, ACK) for client in self.later[:8]])

    def real(self):
        old, now = ([n for n in range(BACKS) if n != m] for m in (self.new, self.gone))
        place = [self.service.address, self.service.port]
        backs = [[back.address, back.port] for back in self.backs]
        self.add("serve", ("forget",), *self.states(*old), ("serve", backs))
        self.add("connect", ("connect", place, REAL, HELD))
        self.add("turn", *self.states(*now), ("again",))
        self.add("direct", *(("connect", back, DIRECT) for back in backs))
