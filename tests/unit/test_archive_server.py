# SPDX-License-Identifier: GPL-3.0-or-later
"""The archive over HTTP: a process that is found, ended and never mistaken."""

import json
import os
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.tinykernels import KEY, A, B, archive, kernel
from klab.archive import place, publish, server
from klab.errors import KlabError
from klab.kernel import symbols
from klab.kernel.root import Toolroot

HOST = Toolroot(None)


@pytest.fixture(autouse=True)
def _folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KLAB_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(symbols, "ensure", lambda kernel: kernel.file("vmlinux"))  # no ELF here


@pytest.fixture
def port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An archive with one kernel; its server ends with the test."""
    archive(monkeypatch)
    publish.take(kernel("lab", A), HOST)
    publish.refresh(HOST, KEY)
    yield
    server.down()


def fetched(url: str) -> str:
    with urllib.request.urlopen(url) as answer:  # noqa: S310 - a server of this test
        return answer.read().decode()


@pytest.mark.usefixtures("published")
def test_the_archive_is_served_until_down(port: int) -> None:
    assert server.up("127.0.0.1", port)
    assert not server.up("127.0.0.1", port)
    at = server.known()
    (place.folder() / "server.json").write_text(json.dumps({"listen": "127.0.0.1", "port": port}))
    assert server.known() == at  # found again where a run was cut off
    assert at.guest_url == f"http://10.0.2.2:{port}"
    assert fetched(f"{at.url}/klab.asc") == "a key\n"
    publish.take(kernel("lab", B), HOST)
    publish.refresh(HOST, KEY)  # the server need not be told
    assert fetched(f"{at.url}/Packages").split() == [A, B]
    assert server.down()
    assert not server.down()
    assert server.known() == server.Server("127.0.0.1", port)
    assert server.up("127.0.0.1", 0)
    assert server.known().port == port  # machines have noted it


@pytest.mark.usefixtures("published")
def test_an_occupied_port_is_named_with_its_holder(port: int) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen(1)
        with pytest.raises(KlabError, match=rf"port {port} .*pid {os.getpid()}") as caught:
            server.up("127.0.0.1", port)
    assert "--port" in caught.value.mend
    assert server.known().pid == 0


@pytest.mark.usefixtures("published")
def test_a_stale_pid_is_not_taken_for_the_server(port: int) -> None:
    (place.folder() / "server.json").write_text(
        json.dumps({"listen": "127.0.0.1", "port": port, "pid": os.getpid()})
    )
    assert server.known().pid == 0
    assert not server.down()  # and this test lives on


def test_nothing_is_served_before_it_is_published(port: int) -> None:
    with pytest.raises(KlabError, match="nothing has been published yet"):
        server.up("127.0.0.1", port)
