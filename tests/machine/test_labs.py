# SPDX-License-Identifier: GPL-3.0-or-later
"""The student's way through a lab, typed on the machine; and what must not lie there."""

from collections.abc import Iterator

import pexpect
import pytest

from fixtures import seats
from klab import catalogue
from klab.testing import expect
from klab.testing.machines import Machine

# A student could read them: whatever makes a lab pass, and what judges it.
SECRETS = (
    r"-name solution.patch -o -name test_outcome.py -o -name test_environment.py -o -path '*/wrong/*.patch'"
)


@pytest.fixture
def lab(machine: Machine) -> Iterator[catalogue.Lab]:
    """A lab that nobody has begun on this machine; afterwards nobody has."""
    there = machine.output("cd ~/labs && find . -mindepth 2 -maxdepth 2 -type d").split()
    course = catalogue.load()
    chosen = next(lab for lab in course.labs.values() if lab.where == "guest" and f"./{lab.id}" not in there)
    with seats.kept(machine.record):
        yield chosen
    old = "~/labs/.before-reset"
    machine.run(
        f"rm -rf ~/labs/%s {old}/%s-*; rmdir {old}/* {old} ~/labs/* 2>/dev/null", chosen.id, chosen.id
    )


def answers(machine: Machine, words: str, code: int = 0, deadline_s: int = 180) -> str:
    """What `klab WORDS` says on the machine."""
    done = machine.run(f"klab {words}", deadline_s=deadline_s)
    expect.equal(done.code, code, f"klab {words}: {done.out}{done.err}", look="src/klab/desk/server.py")
    return done.out


def test_from_list_to_reset(machine: Machine, lab: catalogue.Lab) -> None:
    assert lab.name in answers(machine, "list")
    assert "Made" in answers(machine, f"start {lab.name}")
    assert "There already" in answers(machine, f"start {lab.id}")
    edited = lab.workspace[0]
    machine.output("cd ~/labs/%s && test -f README.md && echo '/* mine */' >>%s", lab.id, edited)
    said = answers(machine, f"check {lab.name} --seed 7", code=1)
    assert "expected" in said, said
    assert "--seed 7" in said, said
    assert lab.hints[0].split()[0] in answers(machine, f"hint {lab.name}")
    assert "1 checks, last check" in answers(machine, "status")
    answers(machine, f"reset {lab.name}")
    kept = machine.output("cat ~/labs/.before-reset/%s-*/%s", lab.id, edited)
    assert "/* mine */" in kept, "what a student wrote is kept"
    assert "/* mine */" not in machine.output("cat ~/labs/%s/%s", lab.id, edited)


def test_a_guest_works_on_the_students_folder(machine: Machine, lab: catalogue.Lab) -> None:
    answers(machine, f"start {lab.name}")
    done = machine.run(
        "cd ~/labs/%s && klab guest lab -- sh -c 'uname -r; head -c 6 README.md; echo new >made; exit 42'",
        lab.id,
        deadline_s=180,
    )
    assert done.code == 42, done.out + done.err
    assert done.out.startswith("6."), done.out
    assert machine.output("cat ~/labs/%s/made", lab.id) == "new\n", "what it changed comes back"


def test_a_guest_is_a_terminal(machine: Machine, lab: catalogue.Lab) -> None:
    answers(machine, f"start {lab.name}")
    words = f"cd ~/labs/{lab.id} && klab guest lab; echo ended with $?; stty -a"
    ssh = ["-tt", "-F", str(machine.record.ssh_config), machine.name, words]
    typed = pexpect.spawn("ssh", ssh, timeout=180, encoding="utf-8", dimensions=(31, 97))
    typed.expect_exact("# ")
    typed.sendline("uname -r; tty; stty size; sleep 1000")
    typed.expect(r"-klab-lab\s+/dev/ttyS1\s+31 97")
    typed.sendintr()
    typed.expect_exact("# ")
    typed.sendline("echo typed >made; exit 42")
    typed.expect_exact("ended with 42")
    typed.expect(r" icanon .* echo ")  # the terminal is as it was
    typed.expect(pexpect.EOF)
    assert machine.output("cat ~/labs/%s/made", lab.id) == "typed\n", "what it changed comes back"


def test_a_shell_wants_a_terminal(machine: Machine) -> None:
    assert "a shell wants a terminal" in answers(machine, "guest lab </dev/null", code=1)


def test_what_is_not_meant_is_refused(machine: Machine) -> None:
    assert "there is no lab" in answers(machine, "check no-such-lab", code=1)
    for words in ("solve lkm-lifecycle", "desk lab1", "vm destroy --yes"):
        assert "No such command" in answers(machine, words, code=2)


def test_no_solution_lies_on_the_machine(machine: Machine) -> None:
    found = machine.output(f"find / -xdev \\( {SECRETS} \\) 2>/dev/null || true", root=True, deadline_s=180)
    expect.equal(
        found.split(), [], "solutions and graders are not on the machine", look="src/klab/desk/verbs.py"
    )


def of_edu(machine: Machine, show: str) -> list[str]:
    """The words that a command says of each edu device, whose folder in /sys is $d."""
    edu = "[ $(cat $d/vendor):$(cat $d/device) = 0x1234:0x11e8 ]"
    return machine.output(f"for d in /sys/bus/pci/devices/*; do if {edu}; then {show}; fi; done").split()


def test_two_edu_devices_share_a_line(machine: Machine) -> None:
    lines = of_edu(machine, "cat $d/irq")
    expect.holds(
        len(lines) == 2 and len(set(lines)) == 1,
        "two edu devices share one interrupt line",
        observed=lines,
        expected="the same number twice",
        look="EDU in src/klab/machine/argv.py",
    )


def test_edu_devices_answer_at_their_addresses(machine: Machine) -> None:
    """Also behind a reset: QEMU keeps nothing of them in a snapshot."""
    show = "od -An -tx4 -j16 -N4 $d/config; head -n 1 $d/resource | cut -d' ' -f1"
    words = of_edu(machine, show)
    expect.equal(
        [int(word, 16) for word in words[::2]],
        [int(word, 16) for word in words[1::2]],
        "base addresses in the devices are those that the kernel believes in",
        look="klab-wake in roles/lab_machine",
    )
    assert len(words) == 4
