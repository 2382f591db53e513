# SPDX-License-Identifier: GPL-3.0-or-later
"""Rosters as people and office programs write them; every mistake is told, with its line, at once."""

import codecs
import os
import random
import re
import unicodedata
from pathlib import Path

import pytest

from fixtures.rosters import HEAD, key, rows
from klab.classroom import roster, sheet
from klab.classroom.model import Student
from klab.errors import KlabError


def read(folder: Path, text: str | bytes, name: str = "roster.csv") -> tuple[Student, ...]:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return roster.read(path, "k26")


def mistakes(folder: Path, *lines: str, head: str = HEAD) -> list[str]:
    with pytest.raises(KlabError) as caught:
        read(folder, "\n".join([head, *lines, ""]))
    assert caught.value.mend
    return caught.value.what.splitlines()[1:]


def test_a_line_is_a_student(tmp_path):
    (one,) = read(tmp_path, f"{HEAD}\nada,Ada Example,{key(1)},s1,group_a,observability\n")
    assert one == Student(
        "ada", "Ada Example", (key(1),), "s1", "group_a", "observability", place="roster.csv:2"
    )


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_what_office_programs_write(tmp_path, end, mark, separator):
    lines = [HEAD, f'ada,"Example ""the, first"" Ada",{key(1)},,,', "", "", f"bob,Bob,{key(2)},,,"]
    if separator != ",":
        lines = [line.replace(",", separator) for line in lines]
    found = read(tmp_path, mark + end.join(lines).encode())
    assert found[0].name == " ".join(f'Example "the{separator} first" Ada'.split())
    assert [(one.login, one.place) for one in found] == [("ada", "roster.csv:2"), ("bob", "roster.csv:5")]


def test_names_are_composed_and_tidy(tmp_path):
    name = unicodedata.normalize("NFD", "Žofie Šťastná")
    (one,) = read(tmp_path, f"{HEAD}\nzofie,  {name} \u4f60\u597d ,,,,\n")
    assert one.name == "Žofie Šťastná \u4f60\u597d"
    assert one.keys == ()


def test_a_cell_of_two_lines_moves_no_number(tmp_path):
    text = f'{HEAD}\nada,Ada,"{key(1)}\n{key(2)}",,,\nroot,R,,,,\n'
    with pytest.raises(KlabError, match=r"roster.csv:4: login 'root'"):
        read(tmp_path, text)


def test_seat_is_the_login_unless_it_is_told(tmp_path):
    found = read(tmp_path, f"{HEAD}\nada,Ada,,,,\nb_b,Bob,,s2,,\n")
    assert [one.seat for one in found] == ["ada", "s2"]


def test_columns_may_be_left_out_and_in_any_order(tmp_path):
    (one,) = read(tmp_path, f"Key,NAME,login\n{key(1)},Ada,ada\n")
    assert (one.login, one.keys) == ("ada", (key(1),))


def test_a_key_may_be_a_file_beside_it(tmp_path):
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys/ada.pub").write_text(f"# two\r\n{key(1)}\r\n\r\n{key(2)}\r\n")
    (one,) = read(tmp_path, f"{HEAD}\nada,Ada,keys/ada.pub,,,\n")
    assert one.keys == (key(1), key(2))


def test_all_mistakes_are_told_at_once(tmp_path):
    found = mistakes(
        tmp_path,
        f"ada,Ada,{key(1)},s1,,",
        f"ada,Ada,{key(1)} again,s1,,",
        "Bob,,ssh-ed25519 AAAA,x_y,seats,",
        "root,=1+1,,,,A/B",
        "cam,Cam,,,,,,more",
    )
    assert [re.match(r"roster.csv:(\d+): (\w+)", line).groups() for line in found] == [
        ("3", "login"),
        ("3", "this"),
        ("3", "seat"),
        ("4", "login"),
        ("4", "name"),
        ("4", "group"),
        ("4", "key"),
        ("4", "seat"),
        ("5", "login"),
        ("5", "name"),
        ("5", "path"),
        ("6", "8"),
    ]


ONE = {
    "login of useradd": ("1ada,Ada,,s1,,", "login '1ada'"),
    "long login": (f"{'a' * 33},Ada,,s1,,", "login 'a"),
    "account": ("www-data,W,,,,", "account or a group of the system"),
    "our account": ("student,S,,,,", "account or a group of the system"),
    "systemd": ("systemd-network,S,,,,", "account or a group of the system"),
    "no login": (",Ada,,,,", "login is empty"),
    "no name": ("ada,  ,,,,", "name is empty"),
    "long name": (f"ada,{'x' * 81},,,,", "more than 80"),
    "login is no seat": ("a_b,Ada,,,,", "say another in column seat"),
    "long seat": (f"ada,Ada,,{'s' * 28},,", "cannot be a host name"),
    "seat ends with a hyphen": ("ada,Ada,,s-,,", "cannot be a host name"),
    "formula": ('ada,"=HYPERLINK(""x"")",,,,', "name begins with '='"),
    "formula after a space": ("ada, @SUM(A1),,,,", "name begins with '@'"),
    "formula in the key": ("ada,Ada,+1,,,", "key begins with '\\+'"),
    "tab": ('ada,"\tAda",,,,', "name begins with"),
    "control": ("ada,Ada\x1b[2J,,,,", "nobody sees"),
    "turned name": ("ada,\u202eadA,,,,", "nobody sees"),
    "our group": ("ada,Ada,,,lab_machines,", "klab's own"),
    "group with a hyphen": ("ada,Ada,,,group-a,", "group 'group-a'"),
    "private key": ('ada,Ada,"-----BEGIN OPENSSH PRIVATE KEY-----\nx",,,', "it is a private key"),
    "file outside": ("ada,Ada,../ada.pub,,,", "below the roster's folder"),
    "no file": ("ada,Ada,ada.pub,,,", "ada.pub cannot be read"),
}


@pytest.mark.parametrize("what", ONE)
def test_one_mistake_is_one_line(tmp_path, what):
    row, words = ONE[what]
    (found,) = mistakes(tmp_path, row)
    assert re.fullmatch(rf"roster.csv:2: .*{words}.*", found)


def test_a_private_key_is_not_repeated(tmp_path):
    inner = "b3BlbnNzaC1rZXktdjEA"
    text = f'{HEAD}\nada,Ada,"-----BEGIN OPENSSH PRIVATE KEY-----\n{inner}",,,\n'
    with pytest.raises(KlabError) as caught:
        read(tmp_path, text)
    assert inner not in str(caught.value)


def test_a_pipe_is_no_key_and_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "ada.pub")
    assert "ada.pub cannot be read" in mistakes(tmp_path, "ada,Ada,ada.pub,,,")[0]


@pytest.mark.parametrize(
    ("head", "words"),
    [
        ("login,name", ["column key, which may be empty is missing"]),
        ("login,key,name,sea", ["unknown column 'sea': did you mean seat?"]),
        ("login,name,key,name", ["column name stands there twice"]),
        ("ada,Ada,x", ["the first line names the columns"]),
    ],
)
def test_columns(tmp_path, head, words):
    found = mistakes(tmp_path, "ada,Ada,,", head=head)
    assert all(word in line for line, word in zip(found, words, strict=True))
    assert all(line.startswith("roster.csv:1: ") for line in found)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"{HEAD}\nada,Ada,,,,\n".encode("utf-16"), "roster.csv:1: it is written in UTF-16"),
        (f"{HEAD}\n".encode() + "ada,Ada,,,,".encode("utf-16-le"), "roster.csv:2: it is written in UTF-16"),
        (f"{HEAD}\nada,Zoë,,,,\n".encode("latin-1"), "roster.csv:2: it is not written in UTF-8"),
        (f'{HEAD}\nada,"Ada,,,,\n', "roster.csv:2: this is no CSV"),
        (f"{HEAD}\n", "roster.csv:1: there is no student"),
        ("", "roster.csv:1: the first line names"),
        (b"x" * (sheet.LIMIT + 1), "roster.csv:1: it has more than 1 MiB"),
        ("\n".join([HEAD, *(f"s{i},S,,,," for i in range(2001))]), "roster.csv:2002: it has more than 2000"),
    ],
)
def test_files_that_are_no_roster(tmp_path, text, words):
    with pytest.raises(KlabError) as caught:
        read(tmp_path, text)
    assert words in caught.value.what
    assert caught.value.mend


def test_a_roster_that_is_not_there(tmp_path):
    with pytest.raises(KlabError, match="cannot be read: No such file"):
        roster.read(tmp_path / "roster.csv", "k26")


def test_of_very_many_mistakes_the_first_are_told(tmp_path):
    found = mistakes(tmp_path, *(f"ada,Ada {i},,," for i in range(100)))
    assert len(found) == sheet.SHOWN + 1
    assert found[-1] == f"and {99 - sheet.SHOWN} more"


YAML = f"""\
- login: ada
  name: Ada Example
  key: [{key(1)}, {key(2)}]
  seat: 007
- {{login: no, name: Nobody Else, group: null}}
"""


def test_yaml_is_read_as_written(tmp_path):
    ada, no = read(tmp_path, YAML, "roster.yml")
    assert (ada.keys, ada.seat, ada.place) == ((key(1), key(2)), "007", "roster.yml:1")
    assert (no.login, no.group, no.keys, no.place) == ("no", "", (), "roster.yml:5")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- login: ada\n  nme: Ada\n", "roster.yml:1: unknown column 'nme'"),
        ("- login: ada\n  login: bob\n  name: Ada\n", "roster.yml:2: login stands there twice"),
        ("- login: ada\n  name: {first: Ada}\n", "roster.yml:2: a value is no text"),
        ("- login: [ada, bob]\n  name: Ada\n", "roster.yml:1: login is more than one value"),
        ("- ada\n", "roster.yml:1: it is no mapping"),
        ("login: ada\n", "roster.yml:1: it is no list"),
        ("- login: 'ada\n", "roster.yml:2: "),
        ("[" * 5000, "roster.yml:1: it is nested too deeply"),
        ("- login: ada\n  name: Ada\n  key: -1\n", "roster.yml:1: key begins with '-'"),
    ],
)
def test_yaml_mistakes(tmp_path, text, words):
    with pytest.raises(KlabError) as caught:
        read(tmp_path, text, "roster.yml")
    assert words in caught.value.what


def test_a_big_class_is_read(tmp_path):
    found = read(tmp_path, "\n".join([HEAD, *rows(500)]))
    assert len({one.seat for one in found}) == 500


PIECES = [
    b'"',
    b",",
    b";",
    b"\n",
    b"\r",
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b"=",
    b"- ",
    b": ",
    b"{",
    b"[",
    b"&a",
    b"*a",
]


@pytest.mark.parametrize("name", ["roster.csv", "roster.yml"])
def test_whatever_is_in_it_is_read_or_refused(tmp_path, name):
    """A roster that was cut, doubled and strewn with signs is never a crash."""
    good = YAML.encode() if name.endswith("yml") else "\n".join([HEAD, *rows(3)]).encode()
    read_at_all, refusals = 0, []
    for seed in range(400):
        chance = random.Random(seed)  # noqa: S311 - nothing secret
        text = bytearray(good)
        for _ in range(chance.randrange(4)):
            at = chance.randrange(len(text) + 1)
            end = at + chance.randrange(8)
            text[at:end] = chance.choice(
                [*PIECES, bytes(text[at:end]) * 2, b"", bytes([chance.randrange(256)])]
            )
        try:
            read_at_all += bool(read(tmp_path, bytes(text), name))
        except KlabError as error:
            refusals.append(error.what)
    assert min(read_at_all, len(refusals)) > 50
    assert all(str(tmp_path / name) in what for what in refusals)
