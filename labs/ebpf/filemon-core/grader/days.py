# SPDX-License-Identifier: GPL-3.0-or-later
"""What monitors and actors have left in a guest, and how it is compared."""

import json
import re
from collections import Counter
from dataclasses import dataclass, field

from klab.testing import expect

FIELDS = ("pid", "tid", "ppid", "comm", "result", "path")


@dataclass
class Day:
    """What a guest has left.

    seen: opens by actor, `part` is how often it had stopped before. stormed: (actor, number, ns, path).
    """

    output: str
    status: dict[str, int]
    said: dict[str, str]
    log: dict[str, str]
    events: dict[str, list[dict]]
    actors: dict[str, dict[str, int]]
    census: dict[str, dict[str, int]]
    seen: dict[str, list[dict]] = field(default_factory=dict)
    stormed: list[tuple[str, int, int, str]] = field(default_factory=list)

    @property
    def watched(self):
        """The monitors that should have started."""
        return [name for name in self.said if name != "none"]

    def of(self, *names):
        """Opens of these actors, or of all."""
        return [seen for name in names or self.seen for seen in self.seen[name]]

    def stormed_by(self, monitor, actor, path):
        """(opens of an actor's storm, a monitor's events of it, ns that it took)."""
        _, number, ns, _ = next(storm for storm in self.stormed if storm[0] == actor and storm[3] == path)
        mine = (self.actors[actor]["pid"], path)
        others = sum((seen["pid"], seen["path"]) == mine for seen in self.seen[actor])
        events = sum((e.get("pid"), e.get("path")) == mine for e in self.events[monitor])
        return number, events - others, ns

    def compare(self, monitor, wanted, storms=()):
        """Events of the actors that are missing, and that are too many.

        storms leave no truth of each open; of their paths none is too many.
        """
        pids = {seen["pid"] for seen in self.of()}
        have = Counter(key(event) for event in self.events[monitor] if event.get("pid") in pids)
        want = Counter(map(key, wanted))
        more = {k: n for k, n in (have - want).items() if k[-1] not in {storm[3] for storm in storms}}
        return want - have, Counter(more)


def key(seen):
    return tuple(seen.get(name) for name in FIELDS)


def below(opens, directory):
    """Those that have found the directory, or something in it."""
    return [
        seen for seen in opens
        if seen["result"] >= 0 and (seen["path"] == directory or seen["path"].startswith(f"{directory}/"))
    ]  # fmt: skip


def plain(hexadecimal):
    return bytes.fromhex(hexadecimal).decode("latin-1")


def told(line):
    pid, tid, ppid, comm, result, before, after, path = line.split(" ")
    numbers = {"pid": int(pid), "tid": int(tid), "ppid": int(ppid), "result": int(result)}
    return {**numbers, "comm": comm, "before": int(before), "after": int(after), "path": plain(path)}


def read(ran):
    """What a guest has left."""
    output = ran.output.decode(errors="replace")
    left = {name: data.decode(errors="replace") for name, data in ran.results.items()}

    def lines(name):
        found = []
        for line in left.get(f"{name}.events", "").splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                break  # the monitor was killed while it wrote
        return [event for event in found if isinstance(event, dict)]

    def numbers(kind):
        pattern = rf"^{kind} (\w+) (.*)$"
        return {
            name: {key: int(value) for key, value in re.findall(r"([a-z]+) (\d+)", rest)}
            for name, rest in re.findall(pattern, output, re.M)
        }

    names = [name.removesuffix(".said") for name in left if name.endswith(".said")]
    found = Day(
        output,
        {name: int(status) for name, status in re.findall(r"^status (\w+) (\d+)$", output, re.M)},
        {name: left[f"{name}.said"] for name in names},
        {name: left.get(f"{name}.log", "") for name in names},
        {name: lines(name) for name in names},
        {name: {"pid": int(pid), "cgroup": int(cgroup)}
         for name, pid, cgroup in re.findall(r"^actor (\w+) (\d+) (\d+)$", output, re.M)},
        numbers("census"),
    )  # fmt: skip
    for name in found.actors:
        truth = left.get(f"{name}.truth", "")
        found.seen[name] = [
            {**told(line), "part": part}
            for part, said in enumerate(truth.split("stopped\n"))
            for line in re.findall(r"^seen (.*)$", said, re.M)
        ]
        for number, ns, path in re.findall(r"^stormed (\d+) (\d+) (\w+)$", truth, re.M):
            found.stormed.append((name, int(number), int(ns), plain(path)))
    ready = found.watched and all("ready" in found.said[name] for name in found.watched)
    if not found.actors or (ready and not all(found.seen.values())):
        expect.cannot_tell(f"the actors have not acted: {output[-800:]}")
    return found
