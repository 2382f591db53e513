# SPDX-License-Identifier: GPL-3.0-or-later
"""A definition and its roster as a class; what is wrong is told by file and line."""

import re
from pathlib import Path

import pytest

from fixtures.rosters import DEFINITION, key, rows, write
from klab.classroom import definition, inventory, placement, plan
from klab.classroom.model import EXISTING, LIBVIRT, QEMU, Class
from klab.errors import KlabError
from klab.paths import repo_dir


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KLAB_STATE", str(tmp_path / "state"))
    return tmp_path / "class"


def refused(folder: Path, words: str) -> None:
    with pytest.raises(KlabError) as caught:
        definition.load(folder)
    assert re.search(words, caught.value.what), caught.value.what
    assert caught.value.mend


def test_the_example_in_the_checkout_is_valid():
    class_ = definition.load(repo_dir() / definition.DEFAULT)
    assert [(seat.name, seat.provider) for seat in class_.seats] == [("kernel-student01", QEMU)]


def test_a_class(own):
    extra = [f"ada,Ada,{key('ada')},pc07,group_a,observability"]
    class_ = definition.load(write(own, [*rows(3), *extra]))
    assert isinstance(class_, Class)
    assert (class_.name, class_.folder, class_.internet, class_.flavour) == ("k26", own, False, "lab")
    seats = {seat.name: seat for seat in class_.seats}
    assert list(seats) == ["k26-student01", "k26-student02", "k26-student03", "k26-pc07"]
    there = seats["k26-pc07"]
    assert (there.provider, there.address, there.port, there.user, there.memory) == (
        EXISTING,
        "192.0.2.57",
        22,
        "debian",
        0,
    )
    made = seats["k26-student01"]
    assert (made.memory, made.cpus, made.address, made.student.keys) == (512, 1, "", (key(1),))
    assert made.provider == class_.hypervisor(made.hypervisor).provider
    assert {one.provider for one in class_.hypervisors} == {QEMU, LIBVIRT}
    assert class_.seat("student02") is class_.seat("k26-student02")
    with pytest.raises(KlabError, match="no seat student09"):
        class_.seat("student09")
    with pytest.raises(KlabError, match="no hypervisor hyper9"):
        class_.hypervisor("hyper9")


def test_loading_changes_nothing(own, tmp_path):
    definition.load(write(own, rows(3)))
    assert not (tmp_path / "state").exists()


def test_a_class_of_existing_machines_needs_no_hypervisor(own):
    text = (
        DEFINITION.partition("hypervisors:")[0] + "existing:\n  pc07: {address: 192.0.2.57, user: debian}\n"
    )
    class_ = definition.load(write(own, ["ada,Ada,,pc07,,"], definition=text))
    assert [seat.address for seat in class_.seats] == ["192.0.2.57"]
    write(own, ["ada,Ada,,pc08,,"], definition=text)
    refused(own, "roster.csv:2: seat 'pc08' is no existing machine: pc07")


def test_an_existing_machine_keeps_its_kernel_unless_it_is_to_get_one(own):
    text = DEFINITION.replace("user: debian}", "user: debian, kernel: boot}\narchive: 192.0.2.1")
    text = text.replace("existing:", "existing:\n  pc08: {address: 192.0.2.58, user: debian}")
    class_ = definition.load(write(own, ["ada,Ada,,pc07,,", "bob,Bob,,pc08,,"], definition=text))
    assert [seat.kernel for seat in class_.seats] == ["boot", "own"]
    assert inventory.variables(class_)["archive"] == "192.0.2.1"
    assert inventory.variables(class_)["kernel"]
    said = plan.text(class_, plan.facts(class_))
    assert "the kernel of flavour lab is installed and started on k26-pc07\n" in said
    alone = definition.load(write(own, ["bob,Bob,,pc08,,"], definition=text))
    assert not inventory.variables(alone)["kernel"], "nobody is to get it"


def test_a_hypervisor_alone_is_this_computer(own):
    text = DEFINITION.partition("hypervisors:")[0] + "hypervisors:\n  localhost:\n"
    class_ = definition.load(write(own, rows(1), definition=text))
    assert [(one.name, one.address, one.provider) for one in class_.hypervisors] == [("localhost", "", QEMU)]


# what stands there, what is put in its place, the line, and how it is refused
MISTAKES = {
    "unknown key": ("labs:", "lbas: []\nlabs:", 5, "lbas"),
    "unknown key of a hypervisor": ("cpus: 16}\n  hyper2", "cpu: 16}\n  hyper2", 8, "cpu"),
    "another plugin": ("plugin: klab", "plugin: klub", 2, "klab"),
    "no class": ("class: k26\n", "", 2, "'class' is a required"),
    "class is no host name": ("class: k26", "class: K26", 3, "K26"),
    "class with a line end": ("class: k26", 'class: "k26\\n"', 3, "k26"),
    "roster of another kind": ("roster.csv", "roster.xlsx", 4, "roster.xlsx"),
    "no labs": ("[lkm-lifecycle]", "[]", 5, "labs"),
    "unknown lab": ("[lkm-lifecycle]", "[lkm-livecycle]", 5, "did you mean lkm-lifecycle"),
    "unknown flavour": ("seat:", "flavour: lav\nseat:", 6, "no flavour 'lav'"),
    "too little memory": ("memory: 512", "memory: 64", 6, "memory"),
    "memory as text": ("memory: 512", "memory: lots", 6, "memory"),
    "an option for an address": ("192.0.2.10", "-oProxyCommand=x", 8, "address"),
    "another computer, unmeasured": (", disk: 500, cpus: 16}\nex", "}\nex", 9, "say its disk, cpus"),
    "our own name": ("hyper1:", "seats:", 8, "klab itself"),
    "a seat's name": ("hyper1:", "k26-x:", 8, "klab itself"),
    "localhost elsewhere": ("hyper1:", "localhost:", 8, "has no address"),
    "uri without libvirt": ("user: klab,", "uri: 'qemu:///system',", 8, "libvirt"),
    "twice the same": ("192.0.2.11, provider: libvirt", "192.0.2.10", 9, "is hyper1 again"),
    "every address": ("user: klab,", "listen: 0.0.0.0,", 8, "at one address"),
    "existing without user": (", user: debian", "", 11, "user"),
    "existing, some kernel": ("user: debian", "user: debian, kernel: new", 11, "new"),
    "archive at no address": ("seat:", "archive: here\nseat:", 6, "archive: here is no IPv4 address"),
    "existing twice": ("  pc07", "  pc06: {address: 192.0.2.57, user: x}\n  pc07", 12, "is pc06 again"),
    "existing, too long": ("pc07", "p" * 28, 11, "cannot be a host name"),
    "hypervisor as a number": ("hyper1", "1", 8, "the name 1 is no text"),
    "existing as a number": ("pc07", "7", 11, "the name 7 is no text"),
    "torn": ("seat: {", "seat: {{", 7, "did not find"),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_a_mistake_is_refused(own, what):
    old, new, line, words = MISTAKES[what]
    assert old in DEFINITION
    write(own, rows(1), definition=DEFINITION.replace(old, new, 1))
    refused(own, rf"klab.yml:{line}: .*{re.escape(words)}")


def test_mistakes_of_a_definition_are_told_together(own):
    text = DEFINITION.replace("[lkm-lifecycle]", "[nowhere]").replace("hyper1", "control")
    write(own, rows(1), definition=text)
    refused(own, r"2 mistakes\nklab.yml:5: .*nowhere.*\nklab.yml:8: hypervisor control")


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("ada,Ada,,,hyper1,", "group 'hyper1' has the name of a hypervisor"),
        ("ada,Ada,,,,nowhere", "no learning path 'nowhere'"),
        ("root,Ada,,,,", "login 'root'"),
        ("debian,Ada,,pc07,,", "login 'debian' is the account by which klab reaches pc07"),
    ],
)
def test_a_roster_that_does_not_fit_is_refused(own, row, words):
    refused(write(own, [*rows(1), row]), f"roster.csv:3: .*{words}")


def test_no_hypervisor_for_a_seat(own):
    write(own, rows(1), definition=DEFINITION.partition("hypervisors:")[0])
    refused(own, "no hypervisor is named")


def test_a_folder_without_a_class(tmp_path):
    refused(tmp_path, "there is no class in")


def test_what_was_placed_stays_and_what_left_is_kept(own, tmp_path):
    class_ = definition.load(write(own, rows(4)))
    placement.save(class_)
    kept = {seat.name: seat.hypervisor for seat in class_.seats}
    assert placement.load(class_.state) == kept
    assert (class_.state.stat().st_mode & 0o777, set(kept.values())) == (0o700, {"hyper1", "hyper2"})
    class_.seat_dir("k26-student01").mkdir(parents=True)
    later = definition.load(write(own, [*rows(3, start=2), *rows(2, start=8)]))
    assert dict(later.left) == {"k26-student01": kept["k26-student01"]}
    assert all(kept[seat.name] == seat.hypervisor for seat in later.seats if seat.name in kept)
    placement.save(later)
    assert placement.load(class_.state)["k26-student01"] == kept["k26-student01"]


def test_an_existing_machine_with_a_record_has_not_left(own):
    class_ = definition.load(write(own, [*rows(1), "ada,Ada,,pc07,,"]))
    class_.seat_dir("k26-pc07").mkdir(parents=True)
    assert (definition.load(own).left, definition.load(own).moved) == ((), ())
    assert dict(definition.load(write(own, rows(1))).left) == {"k26-pc07": ""}


def test_a_placement_that_cannot_be_read_is_not_guessed(own):
    class_ = definition.load(write(own, rows(1)))
    class_.state.mkdir(parents=True)
    for text in ("{", "[]", '{"k26-a": 1}'):
        (class_.state / placement.FILE).write_text(text)
        refused(own, "placement of the seats cannot be read")


def test_the_example_of_the_guide_is_valid(own):
    guide = (repo_dir() / "docs/guide/instructor.md").read_text()
    example = re.search(r"```yaml\n(plugin: klab\n.*?)```", guide, re.S)[1]
    class_ = definition.load(write(own, [*rows(2), "ada,Ada,,pc07,,"], definition=example))
    assert [seat.provider for seat in class_.seats][-1] == EXISTING
    assert class_.hypervisor("hyper2").listen == "192.0.2.10"
