# SPDX-License-Identifier: GPL-3.0-or-later
"""The initramfs archive as cpio reads it, and guests that are lost, with a fake QEMU.

Real guests with exact exit statuses: molecule scenario vm and bench/boot_command.py.
"""

import lzma
import stat

import pytest

from klab import accel, store
from klab.errors import KlabError
from klab.guest import initramfs, modules, runner, watch


def test_archive_is_well_formed():
    data = initramfs.archive(
        {
            "bin": (initramfs.FOLDER | 0o755, b""),
            "bin/a": (initramfs.FILE | 0o755, b"four!"),
            "l": (initramfs.LINK | 0o777, b"bin/a"),
        }
    )
    names, at = [], 0
    while True:
        assert data[at : at + 6] == b"070701"
        fields = [int(data[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        mode, size, length = fields[1], fields[6], fields[11]
        name = data[at + 110 : at + 110 + length - 1].decode()
        body = at + (110 + length + 3) // 4 * 4
        if name == "TRAILER!!!":
            break
        names.append((name, stat.S_IFMT(mode), data[body : body + size]))
        at = body + (size + 3) // 4 * 4
    assert names == [
        ("bin", stat.S_IFDIR, b""),
        ("bin/a", stat.S_IFREG, b"four!"),
        ("l", stat.S_IFLNK, b"bin/a"),
    ]
    assert len(data) % 4 == 0


def test_equal_input_gives_equal_bytes():
    files = {"x": (initramfs.FILE | 0o644, b"y")}
    assert initramfs.archive(files) == initramfs.archive(files)


FAKE = """#!/bin/sh
for a; do
    case "$a" in
    *id=output,path=*) o=${a##*path=} ;;
    *id=status,path=*) s=${a##*path=} ;;
    *id=console,path=*) c=${a##*path=} ;;
    *id=results,path=*) r=${a##*path=} ;;
    esac
done
"""


@pytest.fixture
def qemu(tmp_path, monkeypatch):
    """A QEMU that does what a shell script says with $o (output), $s (status), $c (console)."""
    base = tmp_path / "base.cpio"
    base.write_bytes(b"")
    monkeypatch.setattr(initramfs, "ensure", lambda: base)
    fake = tmp_path / "qemu"
    monkeypatch.setattr(accel, "QEMU", str(fake))

    def acts(script: str) -> None:
        fake.write_text(FAKE + script)
        fake.chmod(0o755)

    return acts


@pytest.mark.parametrize("status", [0, 1, 42, 255])
def test_exit_status_is_exact(qemu, tmp_path, status):
    qemu(f"printf 'a\\000b' >$o; echo {status} >$s")
    seen = []
    ran = runner.run(tmp_path / "k", ["true"], which="tcg", on_output=seen.append)
    assert (ran.status, ran.output, b"".join(seen)) == (status, b"a\0b", b"a\0b")


def test_panic_is_named_and_the_console_kept(qemu, tmp_path):
    qemu("echo '[    1.0] Kernel panic - not syncing: oh' >$c")
    with pytest.raises(KlabError, match="kernel panic") as raised:
        runner.run(tmp_path / "k", ["true"], which="tcg", keep=tmp_path / "kept")
    assert "not syncing: oh" in (tmp_path / "kept").read_text()
    assert raised.value.log == str(tmp_path / "kept")


def test_a_guest_that_hangs_meets_its_deadline(qemu, tmp_path):
    qemu("exec sleep 60")
    with pytest.raises(KlabError, match=r"0\.3 s passed"):
        runner.run(tmp_path / "k", ["true"], which="tcg", deadline_s=0.3)


@pytest.mark.parametrize("stream", ["c", "o"])
def test_a_flood_is_ended(qemu, tmp_path, monkeypatch, stream):
    monkeypatch.setattr(watch, "CONSOLE", 100_000)
    monkeypatch.setattr(watch, "OUTPUT", 100_000)
    qemu(f"exec yes >${stream}")
    with pytest.raises(KlabError, match="it wrote more than 0 MiB"):
        runner.run(tmp_path / "k", ["true"], which="tcg", keep=tmp_path / "kept")
    assert not (tmp_path / "kept").exists() or (tmp_path / "kept").stat().st_size <= 100_000


def test_what_the_command_left_comes_back(qemu, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/answer").write_text("42")
    qemu(f"tar -cf $r -C {tmp_path}/out .; echo 0 >$s")
    assert runner.run(tmp_path / "k", ["true"], which="tcg").results == {"answer": b"42"}


def test_a_guest_that_ends_without_a_status_is_no_success(qemu, tmp_path):
    qemu("echo hello >$o")
    with pytest.raises(KlabError, match="without a status"):
        runner.run(tmp_path / "k", ["true"], which="tcg")


def test_a_file_brings_its_folders():
    lone = initramfs.archive({"a/b/c": (initramfs.DATA, b"")})
    whole = initramfs.archive(
        {
            "a": (initramfs.FOLDER | 0o755, b""),
            "a/b": (initramfs.FOLDER | 0o755, b""),
            "a/b/c": (initramfs.DATA, b""),
        }
    )
    assert lone == whole


def test_the_console_comes_with_the_result(qemu, tmp_path):
    qemu("echo '[    1.0] hello' >$c; echo 0 >$s")
    assert runner.run(tmp_path / "k", ["true"], which="tcg").console == ("[    1.0] hello",)


def test_a_second_serial_line_is_served_beside_the_guest(qemu, tmp_path):
    qemu('echo "$*" >$o; echo 0 >$s')
    places = []
    ran = runner.run(tmp_path / "k", ["true"], which="tcg", on_serial=places.append)
    assert f"id=serial,path={places[0]}".encode() in ran.output
    assert b"null,id=serial" in runner.run(tmp_path / "k", ["true"], which="tcg").output


DEP = """kernel/drivers/char/virtio_console.ko.xz: kernel/drivers/virtio/virtio.ko.xz
kernel/drivers/virtio/virtio.ko.xz:
kernel/drivers/virtio/virtio_pci.ko.xz: kernel/drivers/virtio/virtio.ko.xz
kernel/lib/kunit/kunit-x.ko.xz:
"""


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    """An artefact whose config and unpacked modules a test lays out."""

    def make(config: str) -> store.Entry:
        (tmp_path / "config").write_text(config)
        place = tmp_path / "tree/lib/modules/6.1-x"
        for line in DEP.splitlines():
            path = place / line.split(":")[0]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(lzma.compress(path.name.encode()))
        (place / "modules.dep").write_text(DEP)
        monkeypatch.setattr(modules, "ensure", lambda _: tmp_path / "tree")
        return store.Entry("kernels", "d" * 64, tmp_path, {"release": "6.1-x"})

    return make


BUILT_IN = "CONFIG_VIRTIO_PCI=y\nCONFIG_VIRTIO_CONSOLE=y\n"


def test_built_in_drivers_need_no_module(kernel, monkeypatch):
    entry = kernel(BUILT_IN)
    monkeypatch.setattr(modules, "ensure", lambda _: pytest.fail("unpacked for nothing"))
    assert modules.files(entry) == {}


def test_a_guest_gets_its_drivers_plain_and_with_all_they_need(kernel):
    found = modules.files(kernel("CONFIG_VIRTIO_PCI=m\nCONFIG_VIRTIO_CONSOLE=m\n"))
    base = "lib/modules/6.1-x"
    assert set(found) == {
        f"{base}/modules.dep",
        f"{base}/kernel/drivers/char/virtio_console.ko",
        f"{base}/kernel/drivers/virtio/virtio.ko",
        f"{base}/kernel/drivers/virtio/virtio_pci.ko",
    }
    assert found[f"{base}/kernel/drivers/virtio/virtio.ko"][1] == b"virtio.ko.xz"
    table = found[f"{base}/modules.dep"][1].decode().splitlines()
    assert "kernel/drivers/char/virtio_console.ko: kernel/drivers/virtio/virtio.ko" in table
    assert len(table) == 3


def test_modules_are_asked_for_by_either_spelling_and_may_be_missing(kernel):
    found = modules.files(kernel(BUILT_IN), ["kunit_x", "no-such"])
    names = [name for name in found if name.endswith(".ko")]
    assert names == ["lib/modules/6.1-x/kernel/lib/kunit/kunit-x.ko"]


def test_a_kernel_without_the_ports_driver_is_refused(kernel):
    with pytest.raises(KlabError, match="it has no virtio_console") as raised:
        modules.files(kernel("CONFIG_VIRTIO_PCI=y\n"))
    assert "CONFIG_VIRTIO_CONSOLE" in raised.value.mend
