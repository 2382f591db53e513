# SPDX-License-Identifier: GPL-3.0-or-later
"""What another computer has made enters the cache whole and verified, or not at all."""

import json
import shutil
from pathlib import Path

import pytest

from conftest import Sandbox


@pytest.fixture
def builder(sandbox: Sandbox) -> Sandbox:
    """Another host: the same flavours, a cache of its own."""
    folder = sandbox.folder / "builder"
    return Sandbox(
        folder, {**sandbox.env, "KLAB_CACHE": str(folder / "cache"), "KLAB_STATE": str(folder / "state")}
    )


@pytest.fixture
def laid(sandbox: Sandbox, builder: Sandbox) -> tuple[str, Path]:
    """The digest of what it has built, and the folder here in which a copy was laid."""
    built = builder.klab("kernel", "build", "--flavour", "tiny").answer
    said = sandbox.klab("kernel", "incoming", "--digest", built["digest"]).answer
    assert not said["present"]
    folder = Path(said["folder"])
    folder.mkdir(parents=True)
    for name in ["manifest.json", *built["files"]]:
        shutil.copy(Path(built["path"]) / name, folder / name)
    return built["digest"], folder


def test_it_is_taken_once_and_used_like_one_of_our_own(sandbox: Sandbox, laid: tuple[str, Path]) -> None:
    digest, folder = laid
    said = sandbox.klab("kernel", "adopt", "--digest", digest)
    assert said.answer["changed"]
    assert not folder.exists()
    again = sandbox.klab("kernel", "build", "--flavour", "tiny").answer
    assert not again["changed"]
    assert again["digest"] == digest
    assert sandbox.klab("kernel", "incoming", "--digest", digest).answer["present"]
    assert not sandbox.klab("kernel", "adopt", "--digest", digest).answer["changed"]


@pytest.mark.parametrize("name", ["bzImage", "System.map", "gdb-scripts.tar"])
def test_a_file_that_changed_on_the_way_is_refused(
    sandbox: Sandbox, laid: tuple[str, Path], name: str
) -> None:
    digest, folder = laid
    content = bytearray((folder / name).read_bytes())
    content[0] ^= 1
    (folder / name).chmod(0o644)
    (folder / name).write_bytes(content)
    sandbox.klab("kernel", "adopt", "--digest", digest).refused(
        f"{name} is not what was stored where it comes from", step="another computer", mend="start again"
    )
    assert not (folder / name).exists()
    assert (folder / "vmlinux").exists(), "what is good needs no second copy"
    assert not list(sandbox.cache.glob("kernels/*"))


def test_an_incomplete_copy_is_refused(sandbox: Sandbox, laid: tuple[str, Path]) -> None:
    digest, folder = laid
    (folder / "vmlinux").unlink()
    sandbox.klab("kernel", "adopt", "--digest", digest).refused(
        "vmlinux is missing", step="another computer", mend="start again"
    )
    (folder / "manifest.json").unlink()
    sandbox.klab("kernel", "adopt", "--digest", digest).refused(
        "manifest.json is missing", step="another computer", mend="start"
    )


@pytest.mark.parametrize(
    ("key", "value", "what"),
    [
        ("digest", "0" * 64, "its manifest is that of kernels 000000000000"),
        ("kind", "images", "its manifest is that of images"),
        ("files", {"../../x": {"sha256": ""}}, "../../x is missing, or no plain file"),
    ],
)
def test_a_manifest_of_something_else_is_refused(
    sandbox: Sandbox, laid: tuple[str, Path], key: str, value: object, what: str
) -> None:
    digest, folder = laid
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").unlink()
    (folder / "manifest.json").write_text(json.dumps({**manifest, key: value}))
    sandbox.klab("kernel", "adopt", "--digest", digest).refused(
        what, step="another computer", mend="start again"
    )


def test_what_is_no_digest_is_no_folder(sandbox: Sandbox) -> None:
    sandbox.klab("kernel", "incoming", "--digest", "../../etc").refused(
        "no digest", step="another computer", mend="64 hex"
    )
