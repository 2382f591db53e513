# SPDX-License-Identifier: GPL-3.0-or-later
"""echo seen by strace, registers and symbols read by other tools, in kernels at two addresses."""

import re

import pytest

from klab.testing import expect

# Numbers of x86-64 and their functions; 180 and 400 were never, or are no longer, taken.
CALLS = {
    0: "read", 1: "write", 9: "mmap", 39: "getpid", 57: "fork", 59: "execve", 61: "wait4", 63: "newuname",
    96: "gettimeofday", 102: "getuid", 165: "mount", 186: "gettid", 202: "futex", 231: "exit_group",
    257: "openat", 262: "newfstatat", 318: "getrandom", 321: "bpf", 332: "statx", 425: "io_uring_setup",
    435: "clone3", 451: "cachestat", 462: "mseal",
}  # fmt: skip
UNTAKEN = (180, 340, 400)
BEYOND = (466, 467, 100_000)
X32 = (512, 547)
FUNCTIONS = (
    "vfs_read",
    "vfs_write",
    "kfree",
    "schedule",
    "wake_up_process",
    "do_exit",
    "msr_open",
    "d_lookup",
)
REGISTERS = {"EFER": 0xC0000080, "STAR": 0xC0000081, "CSTAR": 0xC0000083, "SFMASK": 0xC0000084, "PAT": 0x277}
LSTAR = 0xC0000082
SCRIPT = r"""
cd /klab; modprobe msr; cat /proc/kallsyms >/tmp/symbols
say() { name=$1; shift; out=$("$@" 2>&1); echo "$name: [$?] $(echo "$out" | tr '\n' ';')"; }
address() { grep -m 1 -E " $1([[:space:]]|\$)" /tmp/symbols | cut -d ' ' -f 1; }
# All names of the address that NAME has.
names() { echo "$1: [0] $(grep "^$(address $2) " /tmp/symbols | awk '{ print $3 }' | tr '\n' ';')"; }
"""
LANDING = """
say lstar ./entry msr 0xc0000082
echo "landing: [0] $(address entry_SYSCALL_64)"
say report ./entry report
"""


@pytest.fixture(scope="module")
def programs(lab):
    """The student's two programs, as files for a guest."""
    built = lab.make()
    return {f"klab/{name}": built.file(name) for name in ("echo", "entry")}


@pytest.fixture(scope="module")
def drawn(lab):
    """What this seed has drawn."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(lab.random.choices(letters, k=lab.random.randint(1, 12))) for _ in range(8)]
    return {
        "words": words[: lab.random.randint(3, 8)],
        "calls": lab.random.sample(sorted(CALLS), 4),
        "untaken": lab.random.choice(UNTAKEN),
        "x32": lab.random.randint(*X32),
        "functions": [(name, lab.random.randint(0, 4)) for name in lab.random.sample(FUNCTIONS, 3)],
        "register": lab.random.choice(sorted(REGISTERS)),
    }


def parts(ran):
    """{name: (exit status, what was said)} of a guest's output."""
    said = re.findall(r"^([\w-]+): \[(\d+)\] ?(.*?);?$", ran.output.decode(errors="replace"), re.M)
    return {name: (int(status), text.strip()) for name, status, text in said}


@pytest.fixture(scope="module")
def answers(guest, programs, drawn):
    """A guest with Debian's tools, whose kernel lies where KASLR has put it."""
    words, number = " ".join(drawn["words"]), REGISTERS[drawn["register"]]
    script = f"""{SCRIPT}{LANDING}
say words ./echo {words}
strace -qq -o /tmp/calls ./echo {words} >/dev/null
say trace sed 's/(.*//' /tmp/calls
say empty ./echo
say full sh -c './echo {words} >/dev/full'
say closed sh -c './echo {words} >&-'
say parts readelf -lW echo
say register ./entry msr {number:#x}
msr() {{ dd if=/dev/cpu/0/msr bs=8 count=1 iflag=skip_bytes skip=$1 status=none | od -An -tx8; }}
say reference msr {number}
"""
    return parts(guest(script, files=programs, base="debian", needs=["msr"]))


@pytest.fixture(scope="module")
def symbols(guest, programs, drawn):
    """A guest with KASLR, too, in which the student's program looks for many symbols."""
    calls = "\n".join(
        f"say call-{n} ./entry call {n}; names names-{n} __x64_sys_{CALLS[n]}" for n in drawn["calls"]
    )
    others = "\n".join(f"say call-{n} ./entry call {n}" for n in (drawn["untaken"], drawn["x32"], *BEYOND))
    functions = "\n".join(
        f"say symbol-{name} ./entry symbol $(printf 0x%x $((0x$(address {name}) + {offset})));"
        f" names names-{name} {name}"
        for name, offset in drawn["functions"]
    )
    script = f"{SCRIPT}\n{functions}\nnames names-untaken __x64_sys_ni_syscall\n{calls}\n{others}\n"
    return parts(guest(script, files=programs, base="debian", needs=["msr"]))


@pytest.fixture(scope="module")
def elsewhere(guest, programs):
    """A guest whose kernel lies where it was linked."""
    return parts(guest(SCRIPT + LANDING, files=programs, needs=["msr"], cmdline="nokaslr"))


def told(answers, name, want, what, look, *, status=0):
    """The program ended with `status` and said `want`, or one of them."""
    code, text = answers.get(name, (None, "(the guest did not get that far)"))
    wants = [want] if isinstance(want, str) else want
    expect.holds(code == status and text in wants, what, observed=f"{text} (exit status {code})",
                 expected=f"{' or '.join(wants)} (exit status {status})", look=look)  # fmt: skip


def test_echo_prints(answers, drawn):
    words = drawn["words"]
    told(answers, "words", ";".join(words), f"echo prints {len(words)} arguments, and exits with that",
         "start.S: what lives across a call?", status=len(words))  # fmt: skip
    told(answers, "empty", "", "echo without arguments prints nothing and exits with 0", "start.S")


def test_echo_makes_no_other_call(answers, drawn):
    told(answers, "trace", ";".join(["execve", *["write"] * len(drawn["words"]), "exit"]),
         "one write for each argument and one exit", "strace ./echo a b c")  # fmt: skip


def test_echo_sees_errors(answers):
    told(
        answers,
        "full",
        "",
        "ENOSPC (28) of /dev/full ends echo with 28",
        "start.S: rax after write",
        status=28,
    )
    told(answers, "closed", "", "EBADF (9) of a closed descriptor ends echo with 9", "start.S: rax", status=9)


def test_echo_stands_alone(answers):
    text = answers.get("parts", (0, ""))[1]
    expect.holds("LOAD" in text and "DYNAMIC" not in text and "INTERP" not in text,
                 "echo has no dynamic section and no interpreter", observed=text.replace(";", "\n"),
                 expected="LOAD segments only", look="Makefile")  # fmt: skip


def test_a_register(answers, drawn):
    code, text = answers.get("reference", (1, ""))
    if code or not re.fullmatch(r"[0-9a-f]{16}", text):
        expect.cannot_tell("dd cannot read the register", look=text)
    told(answers, "register", text, f"the register {drawn['register']}", "msr(): pread, 8 bytes")


@pytest.mark.parametrize("where", ["answers", "elsewhere"])
def test_where_the_processor_lands(where, request):
    seen = request.getfixturevalue(where)
    landing = seen.get("landing", (1, ""))[1]
    if not landing:
        expect.cannot_tell("/proc/kallsyms has no entry_SYSCALL_64")
    place = "with KASLR" if where == "answers" else "with nokaslr"
    told(seen, "lstar", landing, f"LSTAR is the address of the entry ({place})", "msr()")
    told(seen, "report",
         "entry entry_SYSCALL_64+0x0;kernel_cs 0x10;user_cs 0x33;interrupts off;syscall enabled",
         f"what `syscall` does ({place})", "report(): STAR, SFMASK, EFER")  # fmt: skip


def test_the_kernel_has_moved(answers, elsewhere):
    here, there = (seen.get("landing", (1, ""))[1] for seen in (answers, elsewhere))
    if here == there:
        expect.cannot_tell("both guests have their kernels at the same address")
    expect.holds(answers["lstar"] != elsewhere["lstar"], "two boots, two addresses",
                 observed=answers["lstar"][1], expected=f"{here} and {there}", look="msr()")  # fmt: skip


def test_symbols(symbols, drawn):
    for name, offset in drawn["functions"]:
        names = [each for each in symbols.get(f"names-{name}", (0, ""))[1].split(";") if each]
        if not names:
            expect.cannot_tell(f"/proc/kallsyms has no {name}")
        told(symbols, f"symbol-{name}", [f"{each}+{offset:#x}" for each in names],
             f"the symbol of an address {offset} bytes into {name}", "symbol_at()")  # fmt: skip


def test_numbers_of_the_table(symbols, drawn):
    for number in drawn["calls"]:
        names = [each for each in symbols.get(f"names-{number}", (0, ""))[1].split(";") if each]
        if not names:
            expect.cannot_tell(f"/proc/kallsyms has no __x64_sys_{CALLS[number]}")
        told(symbols, f"call-{number}", names, f"the function of number {number}", "call(): sys_call_table")
    told(symbols, f"call-{drawn['untaken']}", symbols["names-untaken"][1].split(";"),
         f"number {drawn['untaken']} is taken by nobody", "call()")  # fmt: skip


def test_numbers_beyond_the_table(symbols, drawn):
    for number in (drawn["x32"], *BEYOND):
        told(symbols, f"call-{number}", "none", f"number {number} lies beyond the end of the table",
             "call(): where does the next symbol begin?")  # fmt: skip
