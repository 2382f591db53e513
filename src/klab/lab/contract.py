# SPDX-License-Identifier: GPL-3.0-or-later
"""The contract of a lab, step by step: its grader lets the solution pass and nothing else.

start → environment green → starter red → each wrong answer red → solution green, with other
seeds too → reset → red → a second start changes nothing.
"""

from __future__ import annotations

import math
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

from klab import digest as digests
from klab.catalogue import Lab
from klab.errors import KlabError
from klab.kernel import artefact
from klab.lab import bench as benches
from klab.lab import grade, proofs
from klab.lab.proofs import AFTER, CANNOT_TELL, GREEN, LATE, NOT_RUN, RED, STOPPED, Proof, Step
from klab.testing.observe import BUILDS, FAIL, PASS
from klab.testing.observe import CANNOT_TELL as UNSURE

SEEDS = 2  # the solution passes with each of them; every run draws others
GUEST = 1536  # MiB that one lab's guest and build take
Done = tuple[str, str, str]  # the verdict on a step's work, why, and the test that called it wrong


@dataclass
class Run:
    """One run of the contract; `stop` ends all of it within seconds.

    seeds: of the first check and of the repetitions; tell hears of each step; until: the time
    (epoch seconds) after which no further lab is begun.
    """

    seeds: Sequence[int]
    tell: Callable[[str], None] = lambda _: None
    stop: Event = field(default_factory=Event)
    until: float = math.inf

    def lab(self, lab: Lab, bench: benches.Bench) -> Proof:
        """Go through all steps of one lab. A step that cannot be told ends nothing but itself."""
        began = time.monotonic()
        key = proofs.key(lab)  # as it is before the first step: an edit meanwhile makes it outdated
        if time.time() > self.until:
            return proofs.proof(lab, key, (Step("contract", NOT_RUN, LATE, 0),), 0)
        steps = []
        broken = False
        for name, want, work in self._steps(lab, bench):
            if broken or self.stop.is_set():
                steps.append(Step(name, NOT_RUN, STOPPED if self.stop.is_set() else AFTER, 0))
                continue
            step = _step(name, want, work)
            if self.stop.is_set():
                step = Step(name, NOT_RUN, STOPPED, step.wall_s)
            steps.append(step)
            broken = name in {"start", "environment"} and step.word != GREEN
            self.tell(
                f"{lab.id}: {name} {step.word} ({step.wall_s:.1f} s){step.reason and f': {step.reason}'}"
            )
        return proofs.proof(lab, key, tuple(steps), time.monotonic() - began)

    def _steps(self, lab: Lab, bench: benches.Bench) -> Iterator[tuple[str, str, Callable[[], Done]]]:
        first, *others = self.seeds
        digest = ""
        seen: Done = (UNSURE, "", "")  # of the starter
        caught = proofs.caught(lab)

        def check(seed: int, part: str = grade.OUTCOME, *, red: bool = False, ahead: str = "") -> Done:
            verdict = grade.run(
                lab, bench.workspace(), seed=seed, machine=bench.machine, part=part, stop=self.stop,
                first=red or part == grade.ENVIRONMENT, ahead=ahead, builds=bench.builds,
            )  # fmt: skip
            # Of a right answer that was called wrong, all that is known must stay.
            known = verdict.reason if red else f"{verdict.reason}\n{verdict.detail}".strip()
            return verdict.word, known, verdict.test

        def refused(name: str, lay: Callable[[], None] = lambda: None) -> Callable[[], Done]:
            def work() -> Done:
                lay()
                # One failure is all it takes: the test that found it the last time goes ahead.
                word, why, test = check(first, red=True, ahead=caught.get(name, ""))
                # A file that does not compile is no answer, and its failing proves nothing.
                return (RED, f"it does not build: {why}", "") if BUILDS in why else (word, why, test)

            return work

        def start() -> Done:
            nonlocal digest
            changed = bench.start()
            digest = digests.of_tree(bench.workspace())
            return (PASS, "", "") if changed else (FAIL, "something is there before the start", "")

        def solved() -> Done:
            bench.solve()
            return check(first)

        def starter() -> Done:
            nonlocal seen
            seen = refused("starter")()
            return seen

        def reset() -> Done:
            bench.reset()
            # The same files under the same seed get the same verdict; on a machine more than files counts.
            if not bench.machine and digests.of_tree(bench.workspace()) == digest:
                return seen
            return refused("starter")()

        def again() -> Done:
            changed = bench.start() or digests.of_tree(bench.workspace()) != digest
            return (FAIL, "a second start changed the workspace", "") if changed else (PASS, "", "")

        yield "start", PASS, start
        yield "environment", PASS, lambda: check(first, grade.ENVIRONMENT)
        yield "starter", FAIL, starter
        for wrong in lab.wrongs:
            name = f"wrong {wrong.stem}"
            yield name, FAIL, refused(name, lambda wrong=wrong: bench.lay(wrong))  # type: ignore[misc]
        yield "solution", PASS, solved
        for seed in others:
            yield f"seed {seed}", PASS, lambda seed=seed: check(seed, grade.REPEAT)  # type: ignore[misc]
        yield "reset", FAIL, reset
        yield "start again", PASS, again


def _step(name: str, want: str, work: Callable[[], Done]) -> Step:
    began = time.monotonic()
    try:
        word, why, test = work()
    except KlabError as error:
        word, why, test = UNSURE, str(error), ""
    wall = round(time.monotonic() - began, 2)
    if word == want:
        return Step(name, GREEN, "", wall, saw=why, test=test)
    if word == UNSURE:
        return Step(name, CANNOT_TELL, why or "the check looked at nothing", wall)
    return Step(name, RED, why if word == RED or want == PASS else "it passed, and should not", wall)


def jobs() -> int:
    """How many labs at a time: one more than cores, as each waits at times, if available memory allows."""
    lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    available = next(int(words[1]) >> 10 for words in lines if words[0] == "MemAvailable:")
    return max(1, min((os.cpu_count() or 1) + 1, available // GUEST))


def seeds(count: int = SEEDS) -> list[int]:
    """Seeds of a run; other ones each time."""
    return [random.randrange(1 << 31) for _ in range(count)]  # noqa: S311 - nothing secret


def prove(
    labs: Sequence[Lab],
    *,
    at_once: int,
    fresh: bool,
    run: Run,
    done: Callable[[Proof], None] = lambda _: None,
) -> list[Proof]:
    """The proofs of labs, in their order; unchanged green ones from the cache unless `fresh`.

    Labs on machines come one after the other, those of a kernel on one machine; others in
    parallel, those that take longest first, and where not all may be reached, those that wait
    longest for a proof. On Ctrl-C all ends, nothing is left behind, and
    what was proved is kept.
    """
    found: dict[str, Proof] = {}

    def keep(proof: Proof) -> Proof:
        if proof.late or any(step.reason == STOPPED for step in proof.steps):
            return proof
        proofs.keep(proof)
        done(proof)
        return proof

    wanted = []
    for lab in labs:
        known = None if fresh else proofs.valid(lab)
        if known and known.word == GREEN:
            found[lab.id] = known
            done(known)
        else:
            wanted.append(lab)
    _missing(wanted, run.tell)
    wanted = _ordered(wanted, at_once, run)
    with ThreadPoolExecutor(at_once) as pool:
        work: list[Future[list[Proof]]] = []
        try:
            groups = _groups(lab for lab in wanted if lab.where == "machine")
            if groups:
                work.append(pool.submit(_machines, groups, run, keep))
            work += [pool.submit(_here, lab, run, keep) for lab in wanted if lab.where != "machine"]
            rest = set(work)
            while rest:
                _, rest = wait(rest, timeout=0.5, return_when=FIRST_COMPLETED)
        except BaseException:
            run.stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    found |= {proof.lab: proof for each in work for proof in each.result()}
    return [found[lab.id] for lab in labs]


def _missing(labs: Sequence[Lab], tell: Callable[[str], None]) -> None:
    """Say at once which labs will not be proved for want of a kernel."""
    for name in sorted({flavour for lab in labs for flavour in lab.flavours}):
        if not artefact.find(name):
            ids = ", ".join(lab.id for lab in labs if name in lab.flavours)
            tell(f"no kernel {name}, so no proof of {ids}: klab kernel build --flavour {name}")


def _ordered(labs: Sequence[Lab], at_once: int, run: Run) -> list[Lab]:
    """The labs by the time that their last proofs took, and a word on how long it will be."""
    took = proofs.took_s(labs)
    if took:
        least = max(*took.values(), sum(took.values()) / at_once)
        run.tell(
            f"{len(labs)} labs to prove, {at_once} at a time: about {least / 60:.0f} min, as the last time"
        )
    if run.until == math.inf:
        return sorted(labs, key=lambda lab: -took.get(lab.id, math.inf))
    known = {lab.id: proofs.last(lab) for lab in labs}
    return sorted(labs, key=lambda lab: (proof.at if (proof := known[lab.id]) else 0, took.get(lab.id, 0.0)))


def _here(lab: Lab, run: Run, keep: Callable[[Proof], Proof]) -> list[Proof]:
    with tempfile.TemporaryDirectory(prefix="klab-contract-") as folder:
        return [keep(run.lab(lab, benches.Here(lab, Path(folder))))]


def _groups(labs: Iterator[Lab]) -> list[list[Lab]]:
    """Labs that can share a machine."""
    groups: dict[tuple[object, ...], list[Lab]] = {}
    for lab in labs:
        needs = lab.needs
        groups.setdefault((lab.kernel, tuple(needs.cmdline), needs.cpus, needs.memory), []).append(lab)
    return list(groups.values())


def _machines(groups: list[list[Lab]], run: Run, keep: Callable[[Proof], Proof]) -> list[Proof]:
    found = []
    for labs in groups:
        try:
            with benches.own_machine(labs[0]) as machine:
                for lab in labs:
                    with tempfile.TemporaryDirectory(prefix="klab-contract-") as folder:
                        found.append(keep(run.lab(lab, benches.OnMachine(lab, Path(folder), machine))))
        except KlabError as error:
            lost = [lab for lab in labs if lab.id not in {proof.lab for proof in found}]
            step = Step("machine", CANNOT_TELL, str(error), 0)
            found += [keep(proofs.proof(lab, proofs.key(lab), (step,), 0)) for lab in lost]
    return found
