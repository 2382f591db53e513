# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalogue's check: the real one is clean, and each kind of mistake is refused by file and line."""

import re
import time
from pathlib import Path

import pytest

from klab import catalogue
from klab.catalogue import claims, patches, scaffold
from klab.errors import KlabError
from klab.paths import repo_dir

COURSE = """\
# SPDX-License-Identifier: GPL-3.0-or-later
tracks:
  - id: '1'
    title: Track
    modules:
      first: []
paths:
  - id: way
    title: Way
    why: because
    steps:
      - {title: one, modules: [first]}
"""
MODULE = "title: First\nhours: 1-2\nbullets:\n  B1: one\n  B2: two\n"
LAB = "first/a-lab"


@pytest.fixture
def labs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A course of one lab, clean, with a cache without kernels."""
    root = tmp_path / "labs"
    (root / "first").mkdir(parents=True)
    (root / "course.yml").write_text(COURSE)
    (root / "first/module.yml").write_text(MODULE)
    monkeypatch.setenv("KLAB_LABS", str(root))
    monkeypatch.setenv("KLAB_CACHE", str(tmp_path / "cache"))
    claims.forget()
    scaffold.create(LAB, "program")
    return root


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def said() -> list[str]:
    errors = catalogue.check()
    assert all(error.mend for error in errors)
    return [error.what for error in errors]


def refused(place: str, words: str) -> None:
    """There is one refusal, of this file and line, which says so."""
    (what,) = said()
    assert re.search(rf"{re.escape(place)}: .*{words}", what, re.DOTALL), what


def test_the_real_catalogue_is_clean_and_quickly_so():
    claims.forget()
    begun = time.process_time()
    assert [str(error) for error in catalogue.check(repo_dir() / "labs")] == []
    assert time.process_time() - begun < 2


def test_a_small_one_is_clean(labs):
    assert said() == []


@pytest.mark.parametrize("kind", scaffold.KINDS)
def test_new_is_clean(labs, kind):
    folder = scaffold.create(f"first/my-{kind}", kind)
    assert said() == []
    course = catalogue.load()
    assert list(course.labs) == [LAB, f"first/my-{kind}"]
    made = course.labs[f"first/my-{kind}"]
    assert made.folder == folder
    assert len(made.wrongs) == 1
    assert (labs / "course.yml").read_text().startswith(COURSE.partition("[]")[0])


@pytest.mark.parametrize("listed", ["[]", "\n        - a-lab", "\n        - a-lab # it", "[\n  ]"])
def test_new_finds_its_place_in_the_list(labs, listed):
    change(labs / "course.yml", "[a-lab]", listed)
    scaffold.create("first/second-lab", "program")
    ids = [one.partition("/")[2] for one in catalogue.load().modules["first"].labs]
    assert ids == (["a-lab", "second-lab"] if "a-lab" in listed else ["second-lab"])


@pytest.mark.parametrize("name", ["nowhere/x", "first", "first/Big", "first/a-lab", "first/../x"])
def test_new_refuses(labs, name):
    with pytest.raises(KlabError):
        scaffold.create(name, "program")


LAB_YML = f"{LAB}/lab.yml"
HINTS = "hints:\n  - A nudge first; a later hint shows more of the way."
SLIP = f"{LAB}/wrong/begins-at-zero.patch"
# file, what stands there, what is put in its place, where and how it is refused
MISTAKES = {
    "unknown key": (LAB_YML, "minutes: 30", "minutes: 30\nmoments: 3", "lab.yml:5", "moments"),
    "torn yaml": (LAB_YML, "minutes: 30", "minutes: 30: 4", "lab.yml:4", "mapping"),
    "no hints": (LAB_YML, HINTS, "hints: []", "lab.yml:14", "hints"),
    "unknown flavour": (LAB_YML, "kernel: lab", "kernel: lav", "lab.yml:8", "no flavour 'lav'"),
    "unknown sanitizer": (LAB_YML, "wave: 1", "wave: 1\nsanitize: [sam]", "lab.yml:7", "no flavour 'sam'"),
    "bullet": (LAB_YML, "[B1]", "[B1, B9]", "lab.yml:7", "covers B9"),
    "workspace": (LAB_YML, "[a_lab.c]", "[a_lab.c, gone.c]", "lab.yml:13", "starter/gone.c"),
    "pattern": (LAB_YML, "wave: 1", "wave: 1\nsplats: ['(']", "lab.yml:7", "regular expression"),
    "command line": (
        LAB_YML,
        "guest\nneeds:",
        "machine\nneeds:\n  cmdline: [nokaslr]",
        "lab.yml:11",
        "nokaslr",
    ),
    "incomplete": ("first/module.yml", "hours: 1-2", "hours: 1-2\ncomplete: true", "module.yml:6", "B2"),
    "no section": (f"{LAB}/README.md", "## Steps", "## Stairs", "README.md:1", "'Steps'"),
    "no mistake told": (
        f"{LAB}/wrong/begins-at-zero.patch",
        "Begins",
        "--- Begins",
        "patch:1",
        "which mistake",
    ),
    "path to nowhere": (
        "course.yml",
        "modules: [first]",
        "modules: [frist]",
        "course.yml:12",
        "no module frist",
    ),
    "circle": ("course.yml", "modules: [first]", "modules: [first, first]", "course.yml:12", "circle"),
    "unlisted": ("course.yml", "[a-lab]", "[]", "a-lab:1", "stray folder"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_is_refused(labs, mistake):
    file, old, new, place, words = MISTAKES[mistake]
    change(labs / file, old, new)
    refused(place, words)


def test_a_lab_of_the_list_that_is_not_there(labs):
    change(labs / "course.yml", "[a-lab]", "[a-lab, b-lab]")
    assert [what for what in said() if "b-lab/lab.yml" in what]


@pytest.mark.parametrize("patch", ["solution.patch", "wrong/begins-at-zero.patch"])
def test_a_patch_that_does_not_apply(labs, patch):
    change(labs / LAB / "starter/a_lab.c", "TODO: read them", "TODO")
    assert [what for what in said() if f"{patch}:" in what and "does not apply" in what]


def test_only_the_patch_that_does_not_apply_is_named(labs):
    scaffold.create("first/b-lab", "module")
    change(labs / "first/b-lab/starter/b_lab.c", "TODO", "TO DO")
    assert {what.partition("/labs/")[2].partition(":")[0] for what in said()} == {
        "first/b-lab/solution.patch",
        "first/b-lab/wrong/int-overflows.patch",
    }


def test_a_patch_outside_the_workspace(labs):
    change(labs / LAB_YML, "[a_lab.c]", "[Makefile]")
    assert all("not in the lab's workspace" in what for what in said())
    assert len(said()) == 2


def test_no_wrong_answer(labs):
    (labs / LAB / "wrong/begins-at-zero.patch").unlink()
    refused("lab.yml:2", "no wrong answer")


@pytest.mark.parametrize("name", ["x.txt", "wrong/x.txt", "tasks/check.yml", "../x.txt", "build/x"])
def test_stray_file(labs, name):
    path = labs / LAB / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("")
    (what,) = said()
    assert "stray" in what


@pytest.mark.parametrize("name", ["README.md", "solution.patch", "test_outcome.py", "starter/a_lab.c"])
def test_missing_file(labs, name):
    (labs / LAB / name).unlink()
    assert said()


def test_titles_are_their_own(labs):
    scaffold.create("first/b-lab", "program")
    change(labs / "first/b-lab/lab.yml", "title: B lab", "title: A lab")
    refused("b-lab/lab.yml:2", "title of first/a-lab")


def test_symbols_that_a_fragment_turns_off(labs, monkeypatch):
    monkeypatch.setattr(claims, "_asked", lambda name: {"PROC_FS": "n"})
    refused("lab.yml:11", "CONFIG_PROC_FS")


def test_symbols_that_the_config_lacks(labs, monkeypatch):
    monkeypatch.setattr(claims, "_config", lambda name: {"TMPFS": "y"})
    refused("lab.yml:11", "CONFIG_PROC_FS")


def test_what_no_fragment_names_is_told(labs):
    change(labs / LAB_YML, "[PROC_FS]", "[PROC_FS, SELECTED_BY_OTHERS]")
    assert said() == []
    assert claims.unproved(catalogue.load()) == {"lab": ["SELECTED_BY_OTHERS"]}


def test_files_of_a_patch():
    text = "--- a/old.c\n+++ b/old.c\n@@ -1 +1 @@\n-x\n+y\n--- /dev/null\n+++ b/new.c\n@@ -0,0 +1 @@\n+z\n"
    assert patches.touched(text) == {"old.c", "new.c"}


def test_a_patch_may_make_a_file(labs):
    solution = labs / LAB / "solution.patch"
    solution.write_text(solution.read_text() + "--- /dev/null\n+++ b/more.c\n@@ -0,0 +1 @@\n+int more;\n")
    change(labs / LAB_YML, "[a_lab.c]", "[a_lab.c, Makefile]")
    refused("solution.patch:1", "changes more.c")


@pytest.mark.parametrize("word", [LAB, "a-lab", "first", "track:1", "path:way", "all"])
def test_words_choose(labs, word):
    course = catalogue.load()
    assert [lab.id for lab in catalogue.select(course, [word, word])] == [LAB]


@pytest.mark.parametrize("word", ["a-lap", "track:9", "path:nowhere", "changed:"])
def test_words_that_mean_nothing(labs, word):
    with pytest.raises(KlabError, match="there is no lab"):
        catalogue.select(catalogue.load(), [word])
