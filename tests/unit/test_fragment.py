# SPDX-License-Identifier: GPL-3.0-or-later
from pathlib import Path

import pytest

from klab.errors import KlabError
from klab.kernel.dotconfig import read_config
from klab.kernel.fragment import combine, parse
from klab.kernel.resolve import dropped


def fragment(folder: Path, name: str, text: str) -> Path:
    path = folder / f"{name}.config"
    path.write_text(text)
    return path


def test_each_request_knows_its_place_and_reason(tmp_path: Path) -> None:
    path = fragment(
        tmp_path, "net", "# Links\n# between namespaces.\nCONFIG_BRIDGE=m\n# CONFIG_X is not set\n"
    )
    bridge, unset = parse(path)
    assert (bridge.value, bridge.place, bridge.reason) == ("m", "net.config:3", "Links between namespaces.")
    assert (unset.name, unset.value) == ("X", "n")


def test_values_keep_their_kconfig_form(tmp_path: Path) -> None:
    path = fragment(tmp_path, "a", '# why\nCONFIG_A="x y"\nCONFIG_B=-5\nCONFIG_C=0x1f\n')
    assert [request.value for request in parse(path)] == ['"x y"', "-5", "0x1f"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("CONFIG_A=y\n", "no reason"),
        ("# why\nCONFIG_A=y\n\nCONFIG_B=y\n", "no reason"),
        ("# why\nCONFIG_B=y\nCONFIG_A=y\n", "comes after"),
        ("# why\nCONFIG_A=y\nCONFIG_A=y\n", "comes after"),
        ("# why\nCONFIG_A=maybe\n", "cannot read"),
        ("# why\nA=y\n", "cannot read"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(KlabError, match=said) as caught:
        parse(fragment(tmp_path, "bad", text))
    assert "bad.config:" in caught.value.what


def test_contradictory_fragments_are_refused_with_both_places(tmp_path: Path) -> None:
    one = fragment(tmp_path, "one", "# why\nCONFIG_A=y\n")
    two = fragment(tmp_path, "two", "# why\n# CONFIG_A is not set\n")
    with pytest.raises(KlabError) as caught:
        combine([one, two], "6.12.1")
    assert "one.config:2" in caught.value.what
    assert "two.config:2" in caught.value.what


def test_fragments_may_agree(tmp_path: Path) -> None:
    one = fragment(tmp_path, "one", "# why\nCONFIG_A=y\n")
    two = fragment(tmp_path, "two", "# why\nCONFIG_A=y\nCONFIG_B=m\n")
    assert list(combine([one, two], "6.12.1")) == ["A", "B"]


def test_a_symbol_that_did_not_survive_is_dropped(tmp_path: Path) -> None:
    asked = combine(
        [fragment(tmp_path, "f", "# why\nCONFIG_A=y\nCONFIG_B=m\n# CONFIG_C is not set\n")], "6.12.1"
    )
    seen = read_config("CONFIG_A=y\nCONFIG_B=y\nCONFIG_C=y\n# CONFIG_D is not set\n")
    assert dropped(asked, seen) == {"B": "y", "C": "y"}
    assert dropped(asked, {"A": "y", "B": "m"}) == {}


LINES = """\
# Always.
CONFIG_A=y

# Later lines.
# min 6.6
CONFIG_B=y

# Earlier lines.
# max 6.11
CONFIG_C=y

# Some.
# min 6.1
# max 6.6.20
CONFIG_D=y
"""


@pytest.mark.parametrize(
    ("release", "asked"),
    [
        ("5.10.3", "AC"),
        ("6.1.176", "ACD"),
        ("6.6", "ABCD"),
        ("6.6.20", "ABCD"),
        ("6.6.21", "ABC"),
        ("6.11.9", "ABC"),
        ("6.12.117", "AB"),
        ("6.12-rc3", "AB"),
        ("10.0", "AB"),
    ],
)
def test_a_group_is_asked_of_the_lines_that_it_names(tmp_path: Path, release: str, asked: str) -> None:
    assert list(combine([fragment(tmp_path, "lines", LINES)], release)) == list(asked)


def test_names_of_different_lines_do_not_contradict_each_other(tmp_path: Path) -> None:
    path = fragment(tmp_path, "f", "# Old.\n# max 6.1\nCONFIG_A=m\n\n# New.\n# min 6.2\nCONFIG_A=y\n")
    assert [combine([path], release)["A"].value for release in ("6.1.9", "6.2")] == ["m", "y"]


def test_a_condition_is_no_part_of_the_reason(tmp_path: Path) -> None:
    (request,) = parse(fragment(tmp_path, "f", "# Good.\n# optional: not on all\n# To have.\nCONFIG_A=y\n"))
    assert (request.reason, request.optional) == ("Good. To have.", "not on all")


@pytest.mark.parametrize("line", ["# min six", "# max 6", "# min: 6.6", "# optional", "# optional reason"])
def test_a_condition_that_cannot_be_read_is_no_comment(tmp_path: Path, line: str) -> None:
    with pytest.raises(KlabError, match=r"bad\.config:2: cannot read the condition"):
        parse(fragment(tmp_path, "bad", f"# Why.\n{line}\nCONFIG_A=y\n"))


def test_what_one_fragment_needs_is_not_optional(tmp_path: Path) -> None:
    one = fragment(tmp_path, "one", "# why\n# optional: nice\nCONFIG_A=y\n")
    two = fragment(tmp_path, "two", "# why\nCONFIG_A=y\n")
    for order in ([one, two], [two, one]):
        assert combine(order, "6.12")["A"].optional == ""


def test_a_students_fragment_owes_no_reasons(tmp_path: Path) -> None:
    path = fragment(tmp_path, "mine", "CONFIG_B=y\n# CONFIG_A is not set\n# So far.\nCONFIG_C=m\n")
    asked = combine([path], "6.12", tidy=False)
    assert {name: request.value for name, request in asked.items()} == {"B": "y", "A": "n", "C": "m"}
    assert asked["B"].reason == "asked for in mine.config"
    with pytest.raises(KlabError, match="no reason"):
        combine([path], "6.12")
