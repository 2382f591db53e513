# SPDX-License-Identifier: GPL-3.0-or-later
"""The student's kernel, booted with a program that tries what two new system calls bear."""

import errno
import re
import shutil
from pathlib import Path

import pytest

from klab import accel
from klab.guest import bare, initramfs
from klab.kernel.student import Wanted
from klab.testing import expect
from klab.testing.guests import gate
from klab.testing.observe import RECORDER

GRADER = Path(__file__).parent / "grader"
MICRO, SANITIZER = (GRADER / f"{name}.config" for name in ("micro", "sanitizer"))
# The stubs are on the table already: of most students' series one file has to be compiled.
STUBS = Wanted((MICRO,), GRADER / "stubs.patch", Wanted((MICRO,)))
SANITIZED = (MICRO, SANITIZER)
SLOTS, TEXT = 16, 64
END = "probe: end"
ANSWER = re.compile(r"^probe: ([\w-]+) (-?\d+) (\d+) ?(.*)$")
LETTERS = "abcdefghijklmnopqrstuvwxyz"
CODES = {0: "no error", **errno.errorcode}


@pytest.fixture(scope="module")
def words(lab):
    """More texts than the ring has slots; some are as long as they may be, or empty."""
    lengths = [0, 1, TEXT - 1, *(lab.random.randint(2, TEXT - 2) for _ in range(lab.random.randint(16, 21)))]
    lab.random.shuffle(lengths)
    return ["".join(lab.random.choices(LETTERS, k=length)) for length in lengths]


@pytest.fixture(scope="module")
def run(lab, words, tmp_path_factory):
    """Boots a kernel made with some fragments; answers {name: (result, errno, text)}."""
    folder = tmp_path_factory.mktemp("probe")
    shutil.copy(GRADER / "probe.c", folder)
    said = lab.run(["gcc", "-O2", "-static", "-o", "probe", "probe.c"], folder=folder)
    if said.code:
        expect.cannot_tell(f"the probe does not build: {said.err}")
    files = {
        "init": (initramfs.PROGRAM, (folder / "probe").read_bytes()),
        "words": (initramfs.DATA, "".join(f"{word}\n" for word in words).encode()),
    }

    def boot(*fragments, base, memory=128):
        kernel = lab.own_kernel(*fragments, base=base, patch=lab.workspace / "series.patch")
        cmdline = "console=ttyS0 loglevel=8 panic=-1 oops=panic"
        booted = bare.boot(
            kernel.image, files, which=accel.probe().accel, cmdline=cmdline, memory=memory, until=END
        )
        gate(lab.spec, booted.lines, look="the first lines of the report name your function")
        expect.holds(
            END in booted.lines,
            "the kernel lives through all calls",
            observed=last(booted),
            expected=END,
            look="what your system call does with a pointer",
        )
        found = (ANSWER.match(line) for line in booted.lines)
        return {each[1]: (int(each[2]), int(each[3]), each[4]) for each in found if each}

    return boot


@pytest.fixture(scope="module")
def answers(run):
    """What the probe saw on the micro kernel."""
    return run(MICRO, base=STUBS)


def last(booted):
    """How it ended, and the end of what was said."""
    return "\n".join([f"it {booted.how}", *[line for line in booted.lines if line.strip()][-8:]])


def told(answers, name, error, what, look):
    """The call `name` failed with this error, or with none."""
    result, code, text = answers[name]
    expect.holds(
        code == error and (error == 0) == (result >= 0),
        what,
        observed=f"result {result}, {CODES.get(code, code)} {text}",
        expected=CODES[error],
        look=look,
    )


def read_back(answers, name, text, what):
    """The call `name` gave this text and wrote nothing behind it."""
    shown = f"{len(text) + 1} [{text}]"
    expect.holds(
        answers[name] == (len(text), 0, shown),
        what,
        observed=answers[name],
        expected=f"length {len(text)}; bytes written and text: {shown}",
        look="ring_get",
    )


def numbers(answers, words):
    """Texts get numbers in their order."""
    seen = [answers[f"put-{n}"][:2] for n in range(len(words))]
    expect.equal(
        seen,
        [(n, 0) for n in range(len(words))],
        "ring_put counts: 0, 1, 2, ...",
        look="syscall_64.tbl: 548; ring_put",
    )


def ring(answers, words):
    """The newest texts are there, older ones are not."""
    for n, word in enumerate(words):
        if n < len(words) - SLOTS:
            told(answers, f"get-{n}", errno.ENOENT, f"text {n} of {len(words)} is gone", "RING_SLOTS")
        else:
            read_back(answers, f"get-{n}", word, f"text {n} of {len(words)} comes back, and nothing else")
    told(answers, "future", errno.ENOENT, "a number that was not given yet", "ring_get")
    told(answers, "negative", errno.ENOENT, "the number -1, which is the greatest of all", "ring_get: u64")


def bad_pointers(answers, words):
    """Bad pointers are refused and leave no trace."""
    for name, what in {
        "null": "NULL",
        "unmapped": "an unmapped address",
        "kernel": "an address of the kernel's code",
        "direct": "the kernel's view of memory",
        "nowhere": "an address that is none",
        "torn": "a text whose end is not mapped",
    }.items():
        told(
            answers,
            name,
            errno.EFAULT,
            f"ring_put of {what} is refused",
            "strncpy_from_user: what it returns",
        )
    for name, what in {"long": "4095 letters", "one-too-long": f"{TEXT} letters"}.items():
        told(answers, name, errno.E2BIG, f"ring_put of {what} is refused", "RING_TEXT")
    expect.equal(
        answers["after"][0],
        answers["before"][0] + 1,
        "calls that failed use up no number",
        look="ring_put: when is the number given?",
    )


def edges(answers, words):
    """Texts at the limits."""
    read_back(answers, "longest-back", "l" * (TEXT - 1), f"a text of {TEXT - 1} letters")
    told(
        answers,
        "edge",
        0,
        "a text that ends with the last byte of its page can be read",
        "how much do you copy?",
    )
    read_back(answers, "edge-back", "e" * 5, "a text from the end of a page")
    read_back(answers, "empty-back", "", "an empty text")


def buffers(answers, words):
    """What is written back, and where."""
    read_back(answers, "fits", "sixsix", "a buffer with room for the text and its NUL")
    read_back(answers, "plenty", "sixsix", "a buffer that claims to be large")
    for name in ("too-small", "nothing"):
        told(answers, name, errno.ERANGE, "a buffer that is too small", "ring_get: the NUL counts")
        expect.equal(
            answers[name][2], "", "nothing is written to a buffer that is too small", look="ring_get"
        )
    for name, what in {
        "to-null": "NULL",
        "to-kernel": "the kernel's memory",
        "to-readonly": "a page read-only",
        "to-guard": "a buffer half unmapped",
    }.items():
        told(answers, name, errno.EFAULT, f"ring_get to {what} is refused", "copy_to_user: what it returns")


def users(answers, words):
    """Texts belong to who put them."""
    told(
        answers,
        "user-reads-root",
        errno.EPERM,
        "a user may not read root's text",
        "current_euid(), capable()",
    )
    read_back(answers, "user-reads-user", "of a user", "a user may read their own text")
    read_back(answers, "root-reads-user", "of a user", "root may read a user's text")


def neighbours(answers, words):
    """Nothing else has changed."""
    told(answers, "getpid", 0, "getpid still works", "syscall_64.tbl")
    told(answers, "fchmodat2", errno.EBADF, "fchmodat2 (452) still works", "syscall_64.tbl")
    told(answers, "mseal", 0, "mseal (462) still works", "syscall_64.tbl")
    for number in (463, 547, 550):
        told(answers, f"n{number}", errno.ENOSYS, f"{number} is still no system call", "syscall_64.tbl")


CLAIMS = [numbers, ring, bad_pointers, edges, buffers, users, neighbours]


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.__name__)
def test_contract(answers, words, claim):
    claim(answers, words)


def test_under_a_sanitizer(run, words):
    if not RECORDER.good:
        # What is not right yet need not be compiled for minutes.
        expect.cannot_tell("whether KASAN is silent is looked at when all else passes")
    answers = run(*SANITIZED, base=Wanted(SANITIZED), memory=512)
    for claim in CLAIMS:
        claim(answers, words)
