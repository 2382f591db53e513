# SPDX-License-Identifier: GPL-3.0-or-later
"""Policies and acts drawn by lot, and what becomes of each act."""

import ipaddress
from dataclasses import dataclass

PLACES = "/tmp/day"  # noqa: S108 - in the guest
LONG, LOOP_MS = 150, 2500
RUNS = ("first-inside", "first-below", "first-beside", "audit-inside", "audit-beside", "second-inside",
        "second-below", "after-inside")  # fmt: skip
KILL, HARMLESS = 9, 28
# /proc/PID/mem has one error for all that it refuses.
EPERM, EACCES = 1, 13


@dataclass(frozen=True)
class Step:
    """One line of a plan. act: which one it is, where it is one that can be forbidden; empty: innocent.

    error: of the refusal.
    """

    line: str
    act: str = ""
    error: int = EPERM


class Plans:
    """policies: {name: text}; runs: {name: steps}; loop: an address of all policies that are enforced."""

    def __init__(self, random):
        self.random = random
        common = self.four(25)
        rules = {"first": self.rules(), "second": [*self.rules(), common], "third": [*self.rules(), common]}
        rules["audit"] = rules["first"]
        self.policies = {}
        for name, known in rules.items():
            lines = [str(network) for network in random.sample(known, len(known))]
            lines = lines if name == "audit" else ["enforce", *lines]
            self.policies[name] = "".join(f"{line}\n" for line in lines)
        self.loop = f"loop {common[3]} {LOOP_MS}"
        self.runs = {name: self.steps(name, rules.get(name.partition("-")[0], [])) for name in RUNS}

    def four(self, bits):
        number = self.random.randrange(0xB0000000, 0xDF000000)
        return ipaddress.ip_network((number, bits), strict=False)

    def six(self, bits):
        number = 0x20010DB8 << 96 | self.random.getrandbits(90)
        return ipaddress.ip_network((number, bits), strict=False)

    def rules(self):
        r = self.random
        fours = [self.four(r.choice([23, 26, 29])) for _ in range(LONG)]
        return [*fours, *(self.six(r.choice([61, 92])) for _ in range(8))]

    def connects(self, rules):
        """Addresses at both ends of a network, those beside it, and what only looks like one of them."""
        r = self.random
        listed = {network for network in rules if network.version == 4}
        chosen = r.sample(sorted(listed), 3) if listed else [self.four(26) for _ in range(3)]
        found = []
        for network in chosen:
            for address in (network[0], network[-1], network[-1] + 1):
                act = "connect" if any(address in other for other in listed) else ""
                found += [Step(f"connect4 {address}", act), Step(f"connect6 ::ffff:{address}", act)]
        inside = chosen[0][1]
        digits = f"00{inside.packed.hex()}{'00' * 16}"
        found += [Step(f"unix {digits}"), Step(f"again {inside}"), Step("connect4 127.0.0.1")]
        for network in [rule for rule in rules if rule.version == 6][:3]:
            found += [Step(f"connect6 {network[-1]}", "connect"), Step(f"connect6 {network[-1] + 1}")]
        return found

    def steps(self, name, rules):
        """What one actor does: innocent acts, and by lot some of the others."""
        r = self.random
        signal = KILL if name in {"first-inside", "second-below"} else HARMLESS
        bad = [
            [Step(f"execute {PLACES}/{place}", "execute")
             for place in ("open/program", "shared/program", "group/program", "shared/script",
                           "safe/by-shared")],
            [Step(f"map {PLACES}/shared/program", "execute"), Step(f"map {PLACES}/open/program", "execute")],
            [Step("attach", "trace"), Step("memory", "trace", EACCES)],
            [Step("traced", "trace")],
            [Step(f"signal GUARD {signal}", "signal")] if rules else [],
            [Step("bpf", "bpf")],
            [Step("write /sys/fs/cgroup/cgroup.procs", "leave")],
        ]  # fmt: skip
        # One does all of it; by the others what is told of an actor is no constant.
        some = bad if name in {"first-inside", "audit-inside", "after-inside"} else r.sample(bad, 4)
        chosen = [step for steps in some for step in steps]
        good = [
            Step(f"execute {PLACES}/safe/program"), Step(f"execute {PLACES}/safe/by-safe"),
            Step(f"map {PLACES}/safe/program"), Step(f"read {PLACES}/shared/program"), Step("look"),
            Step(f"write {PLACES}/file"), Step("signal 1 0"),
        ]  # fmt: skip
        steps = [*chosen, *good, *self.connects(rules)]
        r.shuffle(steps)
        return steps
