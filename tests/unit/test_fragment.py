# SPDX-License-Identifier: GPL-3.0-or-later
from pathlib import Path

import pytest

from klab.errors import KlabError
from klab.kernel.fragment import combine, parse
from klab.kernel.resolve import dropped, read_config


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
