# SPDX-License-Identifier: GPL-3.0-or-later
"""What apt makes of the archive, of a copy that someone tampered with, and of a cut-off run."""

import functools
import hashlib
import http.server
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from klab.paths import cache_dir
from klab.testing.machines import inside

FOLDER = cache_dir() / "work/ci"
WWW = FOLDER / "state/archive/www"
RELEASE = "6.12.0-klab-tiny"
ENV = {
    **os.environ,
    "KLAB_BUILD_ROOT": "host",
    "KLAB_CACHE": str(FOLDER / "cache"),
    "KLAB_KERNELS": str(FOLDER / "kernels"),
    "KLAB_STATE": str(FOLDER / "state"),
}


def klab(*words: str) -> dict:
    argv = [sys.executable, "-m", "klab", *words, "--json"]
    done = subprocess.run(argv, env=ENV, capture_output=True, text=True, check=False)
    return json.loads(done.stdout.splitlines()[-1])


def tree(folder: Path) -> dict[str, str]:
    """Each file of a tree and its SHA-256."""
    files = sorted(path for path in folder.resolve().rglob("*") if path.is_file())
    return {str(p.relative_to(folder.resolve())): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture(scope="module")
def client():
    return inside(FOLDER / "client1/root")


@pytest.fixture(scope="module")
def version() -> str:
    (item,) = klab("archive", "list")["items"]
    return f"6.12.0-{item['digest'][:12]}"


def test_client_runs_what_the_archive_names(client, version) -> None:
    for name in (f"linux-image-{RELEASE}", f"linux-headers-{RELEASE}", f"linux-image-{RELEASE}-dbg"):
        assert client.package(name).version == version
    assert client.file(f"/usr/lib/debug/lib/modules/{RELEASE}/vmlinux").size > 0
    assert client.file(f"/usr/lib/debug/lib/modules/{RELEASE}/vmlinux-gdb.py").mode == 0o644


def test_client_trusts_the_key_for_this_archive_alone(client) -> None:
    source = client.file("/etc/apt/sources.list.d/klab.sources").content_string
    assert "Signed-By: /etc/apt/keyrings/klab.asc" in source
    assert not client.file("/etc/apt/trusted.gpg.d/klab.asc").exists


def test_apt_never_moves_a_kernel_by_itself(client) -> None:
    policy = client.check_output(f"apt-cache policy linux-image-{RELEASE}")
    # NotAutomatic: the archive counts for less than what is installed (100).
    assert re.search(r"^\s+1 http://127\.0\.0\.1:\d+ klab/main", policy, re.MULTILINE)


def test_secret_key_is_its_owners_alone() -> None:
    home = FOLDER / "state/archive/gnupg"
    assert home.stat().st_mode & 0o777 == 0o700
    secret = list(home.glob("private-keys-v1.d/*"))
    assert secret
    assert all(path.stat().st_mode & 0o077 == 0 for path in secret)
    assert not [name for name in tree(WWW) if "private" in name]


def test_publishing_the_same_again_changes_no_byte() -> None:
    before, edition = tree(WWW), WWW.readlink()
    assert klab("archive", "publish", "--flavour", "tiny")["changed"] is False
    assert (tree(WWW), WWW.readlink()) == (before, edition)


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Path]:
    """A copy of what is served, to be tampered with."""
    shutil.copytree(WWW.resolve(), tmp_path / "www")
    yield tmp_path / "www"
    shutil.rmtree(tmp_path)


@pytest.fixture
def apt(client, copy: Path) -> Iterator[Callable[..., tuple[int, str]]]:
    """Run apt-get in the client against the copy alone, with folders of its own."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(copy))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        source = f"deb [signed-by=/etc/apt/keyrings/klab.asc] http://127.0.0.1:{server.server_port} klab main"
        # The root's /tmp is new for each command, so all of them go into one.
        options = [
            "Dir::Etc::SourceList=/tmp/sources.list",
            "Dir::Etc::SourceParts=-",
            "Dir::State::Lists=/tmp/lists",
            "Dir::Cache=/tmp",
            "APT::Update::Error-Mode=any",
            "Acquire::Retries=0",
        ]
        setup = (
            "cd /tmp && mkdir -p lists/partial archives/partial && chown _apt lists/partial && "
            f"echo '{source}' >sources.list && "
            f'run() {{ apt-get -qq -o={" -o=".join(options)} "$@" 2>&1; }} && '
        )

        def run(*steps: str) -> tuple[int, str]:
            done = client.run(setup + " && ".join(f"run {step}" for step in steps))
            return done.rc, done.stdout + done.stderr

        yield run
        server.shutdown()


def test_apt_takes_the_untouched_copy(apt, version) -> None:
    """Otherwise what follows would prove nothing."""
    code, said = apt("update", f"download linux-image-{RELEASE}={version}")
    assert code == 0, said


def flip(path: Path) -> None:
    """Change one bit of a file's last byte; its size and date stay."""
    info = path.stat()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.unlink()  # a copy, but never write through a link
    path.write_bytes(content)
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))


def test_apt_refuses_a_tampered_package(apt, copy: Path, version) -> None:
    flip(next(copy.rglob(f"linux-image-{RELEASE}_*.deb")))
    code, said = apt("update", f"download linux-image-{RELEASE}={version}")
    assert code == 100
    assert "Hash Sum mismatch" in said


def test_apt_refuses_a_tampered_index(apt, copy: Path) -> None:
    for path in copy.glob("dists/klab/main/binary-amd64/Packages*"):
        flip(path)
    code, said = apt("update")
    assert code == 100
    assert "Hash Sum mismatch" in said


@pytest.mark.parametrize("signed", ["InRelease", "Release"])
def test_apt_refuses_a_tampered_release(apt, copy: Path, signed: str) -> None:
    dist = copy / "dists/klab"
    if signed == "Release":
        (dist / "InRelease").unlink()  # apt then takes Release and Release.gpg
    text = (dist / signed).read_text()
    assert "NotAutomatic: yes" in text
    (dist / signed).write_text(text.replace("NotAutomatic: yes", "NotAutomatic: no "))
    code, said = apt("update")
    assert code == 100
    assert "signature" in said.lower()


def test_apt_refuses_an_unsigned_release(apt, copy: Path) -> None:
    for name in ("InRelease", "Release.gpg"):
        (copy / "dists/klab" / name).unlink()
    code, said = apt("update")
    assert code == 100
    assert "is not signed" in said


def test_sums_are_signed_with_the_same_key() -> None:
    (item,) = klab("archive", "list")["items"]
    sums = (WWW / "SHA256SUMS").read_text()
    manifest = WWW / f"kernels/{item['digest']}/manifest.json"
    assert (
        f"{hashlib.sha256(manifest.read_bytes()).hexdigest()}  kernels/{item['digest']}/manifest.json\n"
        in sums
    )
    assert (WWW / "SHA256SUMS.asc").read_text().startswith("-----BEGIN PGP SIGNATURE-----")
    assert klab("archive", "verify")["damaged"] == []


def test_a_killed_run_leaves_the_old_edition_whole() -> None:
    before = tree(WWW)
    argv = [sys.executable, "-m", "klab", "archive", "publish", "--flavour", "tiny", "--again"]
    running = subprocess.Popen(argv, env=ENV, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    draft = FOLDER / "state/archive/work/edition"
    end = time.monotonic() + 60
    while not (draft / "aptly").exists() and running.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.005)
    assert running.poll() is None, "it was over before it could be killed"
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert tree(WWW) == before
    assert klab("archive", "verify")["damaged"] == []
    assert klab("archive", "publish", "--flavour", "tiny", "--again")["changed"] is True
    assert not draft.exists()
    assert klab("archive", "verify")["damaged"] == []
