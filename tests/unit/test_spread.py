# SPDX-License-Identifier: GPL-3.0-or-later
"""klab and artefacts come to another computer whole and verified, or not at all, and only once.

The computer is a folder of this one (fixtures/fakessh.py); its Python, klab and rsync are real.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from fixtures import fakessh
from klab import incoming, store
from klab.errors import KlabError
from klab.spread import copies, lay, pack
from klab.spread.there import PLACE, PYTHON, There

MIB = 1 << 20
KERNEL, IMAGE = "ab" * 32, "cd" * 32


@pytest.fixture
def far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> There:
    for name in ("CACHE", "STATE"):
        monkeypatch.setenv(f"KLAB_{name}", str(tmp_path / name.lower()))
    return fakessh.make(tmp_path / "far", monkeypatch)


@pytest.fixture
def home(far: There, tmp_path: Path) -> Path:
    """Its home, with this klab in it."""
    lay.lay(far, pack.make())
    return tmp_path / "far/home"


@pytest.fixture
def entries() -> list[store.Entry]:
    """A kernel and a sparse image, with something to compare in them."""
    if not shutil.which("rsync"):
        pytest.skip("rsync is not installed: nothing is copied")
    with store.drafting("kernels", KERNEL) as draft:
        (draft.path / "bzImage").write_bytes(os.urandom(3 * MIB))
        (draft.path / "config").write_text("CONFIG_VIRTIO_PCI=y\nCONFIG_VIRTIO_BLK=y\nCONFIG_EXT4_FS=y\n")
        draft.publish({"flavour": "lab", "release": "6.1"}, ["bzImage", "config"])
    with store.drafting("images", IMAGE) as draft:
        disk = draft.path / "disk.raw"
        disk.write_bytes(os.urandom(MIB))
        os.truncate(disk, 64 * MIB)
        with disk.open("r+b") as stream:
            stream.seek(40 * MIB)
            stream.write(os.urandom(MIB))
        draft.publish({"kernel": KERNEL}, ["disk.raw"])
    return copies.parts(KERNEL, IMAGE)


def cache(home: Path) -> Path:
    return home / ".cache/klab"


def test_it_works_there_with_python_alone(far: There, home: Path) -> None:
    assert lay.look(far).klab == pack.make().digest
    python = home / PYTHON
    where = "import klab.paths as p, sys; print(p.repo_dir(), p.brought(), 'jsonschema' in sys.modules)"
    said = subprocess.run(
        [python, "-I", "-c", where], capture_output=True, text=True, check=True
    ).stdout.split()
    assert Path(said[0]).is_relative_to(home / PLACE / "versions")
    assert said[1:] == ["True", "False"]
    labs = far.klab(["list", "lkm-lifecycle"])["labs"]
    assert [lab["id"] for lab in labs] == ["kernel-architecture/lkm-lifecycle"]
    assert far.klab(["vm", "list"])["machines"] == []


def test_no_answer_to_a_lab_goes_along(home: Path) -> None:
    names = [path.name for path in (home / PLACE / "current").rglob("*")]
    assert "starter" in names
    assert [name for name in names if name in ("solution.patch", "wrong", "grader", "solve.yml")] == []
    assert [path.name for path in (home / PLACE / "current/labs").rglob("test_*")] == []


def test_a_newer_one_takes_its_place_in_one_moment(far: There, home: Path) -> None:
    first = pack.make()
    lay.lay(far, pack.Pack(first.data, first.digest))
    assert [path.name for path in (home / PLACE / "versions").iterdir()] == [first.digest]
    with pytest.raises(KlabError, match="far: klab cannot be laid there: what came is not what was sent"):
        lay.lay(far, pack.Pack(first.data[:-1], first.digest))
    with pytest.raises(KlabError, match="cannot be laid"):
        lay.lay(far, pack.Pack(b"no archive", "00" * 32))
    assert lay.look(far).klab == first.digest


def test_one_whose_python_went_is_laid_anew(far: There, home: Path) -> None:
    (home / PYTHON).unlink()
    assert lay.look(far).klab == ""
    lay.lay(far, pack.make())
    assert lay.look(far).klab


@pytest.mark.parametrize(
    ("said", "mend"),
    [
        ("ssh: connect to host 192.0.2.9 port 22: Connection refused", "see whether it is up"),
        ("klab@192.0.2.9: Permission denied (publickey).", "ssh-copy-id"),
        ("Host key verification failed.", "log in once by hand"),
        (
            "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.",
            "ssh-keygen -R",
        ),
    ],
)
def test_one_that_is_not_reached(far: There, tmp_path: Path, said: str, mend: str) -> None:
    (tmp_path / "far/down").write_text(f"{said}\n")
    with pytest.raises(KlabError, match="far: ssh: ") as error:
        lay.look(far)
    assert said.splitlines()[-1] in error.value.what
    assert mend in error.value.mend
    assert "ssh klab@192.0.2.9" in error.value.mend


def only(tmp_path: Path, *names: str) -> None:
    """Let the other computer have these programs alone."""
    folder = tmp_path / "far/few"
    folder.mkdir()
    for name in names:
        (folder / name).symlink_to(shutil.which(name) or name)
    (tmp_path / "far/path").write_text(str(folder))


def test_all_that_it_lacks_is_told_at_once(far: There, tmp_path: Path) -> None:
    only(tmp_path, "sh", "basename", "readlink", "ssh", "ssh-keygen")
    with pytest.raises(KlabError, match="far: it lacks python3") as error:
        lay.look(far)
    assert "qemu-utils (makes the thin overlay disks)" in error.value.what
    assert "openssh-client" not in error.value.what
    assert (
        "apt-get install --no-install-recommends -y python3 qemu-system-x86 qemu-utils rsync"
        in error.value.mend
    )


def test_a_python_that_is_too_old_is_told(far: There, tmp_path: Path) -> None:
    only(tmp_path, "sh")
    old = tmp_path / "far/few/python3"
    old.write_text("#!/bin/sh\necho 3.9.2\n")
    old.chmod(0o755)
    with pytest.raises(KlabError, match=r"its python3 is 3.9.2, and klab needs 3.11"):
        lay.look(far)


def test_host_keys_are_nobody_else_s(far: There, home: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("private")
    (tmp_path / "key.pub").write_text("public")
    found = lay.keys(far, "c1", {"c1-s01": tmp_path / "key"})
    path = Path(found["c1-s01"])
    assert path == home / PLACE / "keys/c1/c1-s01"
    assert (path.read_text(), Path(f"{path}.pub").read_text()) == ("private", "public")
    assert path.stat().st_mode & 0o077 == path.parent.stat().st_mode & 0o077 == 0


def test_what_is_there_is_not_sent_again(far: There, home: Path, entries: list[store.Entry]) -> None:
    plan = copies.bring(far, entries)
    assert [one.entry.kind for one in plan.missing] == ["kernels", "images"]
    assert 5 * MIB <= plan.bytes < 8 * MIB, "holes are no bytes"
    for entry in entries:
        for name in entry.manifest["files"]:
            copy = cache(home) / entry.kind / entry.digest / name
            assert copy.read_bytes() == entry.file(name).read_bytes()
            assert copy.stat().st_blocks <= entry.file(name).stat().st_blocks + 8
    assert list((cache(home) / "work").iterdir()) == []
    again = copies.bring(far, entries)
    assert (again.missing, again.bytes) == ((), 0)


def test_what_would_be_sent_is_told_and_nothing_is(
    far: There, home: Path, entries: list[store.Entry]
) -> None:
    assert copies.look(far, entries).bytes == copies.all_of(entries).bytes
    assert not cache(home).exists()


def test_a_copy_that_was_cut_off_goes_on(far: There, home: Path, entries: list[store.Entry]) -> None:
    image = entries[1]
    place = cache(home) / "work" / f"incoming-images-{IMAGE}"
    place.mkdir(parents=True)
    half = image.file("disk.raw").read_bytes()[: MIB // 2]
    (place / "disk.raw").write_bytes(half)
    assert copies.look(far, entries).bytes == copies.all_of(entries).bytes - len(half)
    copies.bring(far, entries)
    log = (Path(os.environ["KLAB_STATE"]) / "logs/to-far.log").read_text()
    (sent,) = re.findall(r"Literal data: ([\d,]+) bytes", log)
    assert int(sent.replace(",", "")) < 64 * MIB - len(half) // 2
    assert (cache(home) / "images" / IMAGE / "disk.raw").read_bytes() == image.file("disk.raw").read_bytes()


def test_a_rest_of_something_else_is_found_and_sent_anew(
    far: There, home: Path, entries: list[store.Entry]
) -> None:
    place = cache(home) / "work" / f"incoming-kernels-{KERNEL}"
    place.mkdir(parents=True)
    (place / "bzImage").write_bytes(bytes(MIB))
    copies.bring(far, entries)
    assert (cache(home) / "kernels" / KERNEL / "bzImage").read_bytes() == entries[0].file(
        "bzImage"
    ).read_bytes()


def test_a_copy_that_stays_wrong_is_never_used(
    far: There, home: Path, entries: list[store.Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = json.loads(entries[0].file(store.MANIFEST).read_text())
    manifest["files"]["bzImage"]["sha256"] = "00" * 32
    entries[0].file(store.MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(KlabError, match="bzImage is not what was stored where it comes from") as error:
        copies.bring(far, entries)
    assert error.value.machine == "far"
    assert not (cache(home) / "kernels" / KERNEL).exists()


def test_a_byte_that_changed_there_is_noticed(far: There, home: Path, entries: list[store.Entry]) -> None:
    copies.bring(far, entries)
    disk = cache(home) / "images" / IMAGE / "disk.raw"
    disk.chmod(0o644)
    with disk.open("r+b") as stream:
        stream.seek(5)
        stream.write(b"x")
    assert [one.entry.kind for one in copies.bring(far, entries).missing] == ["images"]
    assert disk.read_bytes() == entries[1].file("disk.raw").read_bytes()


def test_what_does_not_fit_is_told_with_numbers_before_it_is_sent(
    far: There, home: Path, entries: list[store.Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = copies.look(far, entries)
    monkeypatch.setattr(copies, "look", lambda *_: copies.Plan(plan.missing, 2 * MIB))
    with pytest.raises(
        KlabError, match=r"far: its cache has 2 MiB of room, and [56] MiB are to come: kernels ab"
    ):
        copies.bring(far, entries)
    assert not (cache(home) / "work").exists()


def test_ssh_that_breaks_off_is_told(
    far: There, home: Path, tmp_path: Path, entries: list[store.Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = copies.look(far, entries)
    monkeypatch.setattr(copies, "look", lambda *_: plan)
    real = There.run

    def run(self: There, *words: str, **more: object) -> subprocess.CompletedProcess[str]:
        said = real(self, *words, **more)  # type: ignore[arg-type]
        (tmp_path / "far/down").write_text("Connection closed by remote host\n")
        return said

    monkeypatch.setattr(There, "run", run)
    with pytest.raises(
        KlabError, match="the copy of kernels abababababab was cut off: Connection closed"
    ) as error:
        copies.bring(far, entries)
    assert "goes on from here" in error.value.mend
    assert Path(error.value.log).exists()


def test_only_what_machines_are_made_of_is_taken() -> None:
    for kind, digest in (("roots", KERNEL), ("images", "../../etc")):
        with pytest.raises(KlabError):
            incoming.folder(kind, digest)
