# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation says what is there: reference pages, links, verbs of make and of klab."""

import re
from pathlib import Path

import click
import pytest

import habits
from klab import docs
from klab.cli import main as klab
from klab.desk.server import calls as desk

REPO = Path(__file__).resolve().parents[1]
TEXTS = [path for path in habits.files(REPO) if path.suffix == ".md"]
HAND_WRITTEN = [path for path in TEXTS if "reference" not in path.parts and "roles" not in path.parts]


def name(path: Path) -> str:
    return str(path.relative_to(REPO))


def code(path: Path) -> str:
    """What a text shows as code: fenced, indented or in a line."""
    return "\n".join(re.findall(r"```.*?```|^ {4}.*?$|`[^`\n]+`", path.read_text(), re.S | re.M))


def test_reference_is_what_the_sources_say():
    assert [name(path) for path in docs.stale(REPO)] == []


def test_a_changed_source_makes_its_page_stale(tmp_path):
    role = tmp_path / "roles" / "try"
    (role / "meta").mkdir(parents=True)
    specs = role / "meta" / "argument_specs.yml"
    specs.write_text("argument_specs: {main: {short_description: One}}")
    (role / "meta" / "main.yml").write_text("galaxy_info: {description: Tries}")
    for path, text in docs.pages(tmp_path).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert docs.stale(tmp_path) == []
    specs.write_text("argument_specs: {main: {short_description: Two}}")
    assert docs.stale(tmp_path) == [role / "README.md"]


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Hands over V(path) and C(a, b).", "Hands over `path` and `a, b`."),
        ("Set E(KLAB_CACHE)\n  to I(move) it.", "Set `KLAB_CACHE` to *move* it."),
    ],
)
def test_markup(said, shown):
    assert docs.markdown(said) == shown


@pytest.mark.parametrize("text", TEXTS, ids=name)
def test_links_lead_somewhere(text):
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text.read_text())
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (text.parent / target).exists()] == []


@pytest.mark.parametrize("text", HAND_WRITTEN, ids=name)
def test_verbs_of_make_exist(text):
    known = set(re.findall(r"^([a-z-]+):", (REPO / "Makefile").read_text(), re.M))
    used = set(re.findall(r"\bmake ([a-z][a-z-]*)", code(text)))
    assert used - known == set()


def known_command(words: list[str]) -> bool:
    # What a student types on the machine is answered by the desk.
    return any(_known(group, words) for group in (klab, desk))


def _known(command: click.Command | None, words: list[str]) -> bool:
    for word in words:
        if not isinstance(command, click.Group):
            return True  # the rest are the command's own arguments
        command = command.get_command(click.Context(command), word)
        if command is None:
            return False
    return True


@pytest.mark.parametrize("text", HAND_WRITTEN, ids=name)
def test_verbs_of_klab_exist(text):
    used = re.findall(r"(?:^|[`\s/])klab((?: [a-z][a-z0-9-]*)+)", code(text), re.M)
    assert [words for words in used if not known_command(words.split())] == []


def test_unknown_verb_is_noticed():
    assert known_command(["kernel", "build"])
    assert not known_command(["kernel", "invent"])


def test_paths_named_in_the_texts_exist():
    """A path of the checkout in a text is one that is there."""
    tops = "docs|labs|playbooks|roles|src|tests|inventories|molecule|bench|plugins"
    missing = {}
    for text in HAND_WRITTEN:
        named = re.findall(rf"`((?:{tops})/[\w./-]*\w)`", text.read_text())
        if gone := [path for path in named if not (REPO / path).exists()]:
            missing[name(text)] = gone
    assert missing == {}


def test_variables_are_told():
    """Each KLAB_ variable that a person can set stands in the developer's guide."""
    sources = [*(REPO / "src").rglob("*.py"), *(REPO / "src").rglob("klab-chroot")]
    used = set(re.findall(r"KLAB_[A-Z_]+", "\n".join(path.read_text() for path in sources)))
    inner = {"KLAB_CHROOT_INSIDE"}  # klab-chroot to itself
    told = set(re.findall(r"KLAB_[A-Z_]+", (REPO / "docs/guide/developer.md").read_text()))
    assert used - inner == told
