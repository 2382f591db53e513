# SPDX-License-Identifier: GPL-3.0-or-later
"""The tools of tracing and BPF, each used on the kernels lab, stock and nobtf.

One guest for each kernel runs tests/fixtures/tools/tools.sh; each test holds what one tool said
against what is known otherwise.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from fixtures import tools
from klab import sandbox
from klab.kernel import artefact

FLAVOURS = ("lab", "stock", "nobtf")
NO_TYPES = re.compile(r"failed to find valid kernel BTF|Error loading vmlinux BTF|kernel BTF is missing")


@dataclass(frozen=True)
class Used:
    """What the tools said on one kernel, by name, and how each ended."""

    flavour: str
    said: dict[str, str]
    raw: dict[str, bytes]
    offset: int

    def status(self, name: str) -> int:
        return next(
            int(words[1]) for line in self.said["ended"].splitlines() if (words := line.split())[0] == name
        )

    def went_well(self, name: str) -> str:
        """What it printed; it must have ended with 0."""
        assert self.status(name) == 0, self.said[name][-2000:]
        return self.said[name]

    def pairs(self, name: str) -> dict[str, str]:
        """Lines of a word and its value."""
        return dict(line.split(maxsplit=1) for line in self.went_well(name).splitlines() if " " in line)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return tools.core(tmp_path_factory.mktemp("tools") / "core")


@pytest.fixture(scope="module", params=FLAVOURS)
def used(
    request: pytest.FixtureRequest, built: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> Used:
    ran = tools.use(request.param, built)
    assert ran.status == 0, ran.output
    text = {name: content.decode(errors="replace") for name, content in ran.results.items()}
    offset = tools.offset(request.param, tmp_path_factory.mktemp("offset"))
    return Used(request.param, text, dict(ran.results), offset)


def test_the_kernel_is_the_right_one(used: Used) -> None:
    assert used.said["release"].strip() == artefact.get(used.flavour).manifest["release"]


def test_types_of_the_running_kernel(used: Used, tmp_path: Path) -> None:
    """vmlinux.h in the guest is what bpftool makes here of the file that the kernel came with."""
    if used.flavour == "nobtf":
        assert used.status("vmlinux.h") != 0
        assert "No such file or directory" in used.said["vmlinux.h"]
        return
    place = tools.types(artefact.get(used.flavour))
    script = "bpftool btf dump file /klab/types/vmlinux format c >there.h"
    said = sandbox.run(["sh", "-ec", script], folder=tmp_path, toolchain="bpf", shows={"/klab/types": place})
    assert said.code == 0, said.err
    assert used.went_well("vmlinux.h") == (tmp_path / "there.h").read_text()


def test_a_field_lies_elsewhere_in_each_kernel(tmp_path: Path) -> None:
    """Or a CO-RE object that is never relocated would pass below."""
    assert len({tools.offset(flavour, tmp_path) for flavour in FLAVOURS}) == len(FLAVOURS)


def holds(used: Used, name: str) -> None:
    """The parent that BPF has seen is the one that the process itself is told, where DWARF has it."""
    found = used.pairs(name)
    assert found["calls"] == "7"
    assert found["ppid"] == found["really"]
    assert int(found["ppid"]) > 1
    assert int(found["offset"]) == used.offset


def test_core(used: Used) -> None:
    """An object that was built once, for `lab`."""
    if used.flavour == "nobtf":
        assert used.status("core") == 4, used.said["core"]
        assert NO_TYPES.search(used.said["core"]), used.said["core"]
        return
    holds(used, "core")
    assert used.pairs("core")["comm"] == "timeout"


def test_core_with_external_types(used: Used) -> None:
    if used.flavour != "nobtf":
        pytest.skip("this kernel has its types")
    holds(used, "core_external")
    used.went_well("min_btf")
    holds(used, "core_least")
    whole, least = map(int, used.said["sizes"].split())
    assert least < whole / 1000


def test_static_libbpf(used: Used) -> None:
    """The machine's own compiler puts libbpf into the program, which asks for no shared one."""
    used.went_well("static")
    names = {name.decode() for name in re.findall(rb"lib[a-z]+\.so\.\d", used.raw["built"])}
    assert names == {"libelf.so.1", "libz.so.1", "libc.so.6"}
    holds(used, "static_core")


def test_bcc(used: Used) -> None:
    """BCC needs headers and no BTF."""
    holds(used, "bcc")


def test_bpftool_features(used: Used) -> None:
    found = json.loads(used.went_well("features"))
    config = artefact.get(used.flavour).file("config").read_text()
    for symbol in ("CONFIG_BPF_JIT", "CONFIG_DEBUG_INFO_BTF", "CONFIG_XDP_SOCKETS"):
        assert (found["system_config"][symbol] == "y") == (f"{symbol}=y\n" in config), symbol
    assert found["program_types"]["have_xdp_prog_type"]
    assert found["map_types"]["have_ringbuf_map_type"]


def test_clang_and_xdp(used: Used) -> None:
    used.went_well("clang")
    all_came, gated = {"7001": "11", "7002": "5"}, {"7001": "0", "7002": "5"}
    assert used.pairs("packets_before") == all_came
    used.went_well("xdp_on")
    assert json.loads(used.went_well("xdp_link"))[0]["xdp"]["prog"]["name"] == "gate"
    assert used.pairs("packets") == gated
    (element,) = json.loads(used.went_well("xdp_map"))
    assert element["formatted"]["value"] == 11
    used.went_well("xdp_off")
    assert used.pairs("packets_after") == all_came


MARKED = re.compile(r"^klab-marked\s+\d+\s+\d+\s+0 /tmp/klab-marked", re.M)


def test_libbpf_tools(used: Used) -> None:
    if used.flavour == "nobtf":
        assert used.status("execsnoop") == 1
        assert NO_TYPES.search(used.said["execsnoop"]), used.said["execsnoop"]
        assert MARKED.search(used.said["execsnoop_external"]), used.said["execsnoop_external"]
    else:
        assert MARKED.search(used.said["execsnoop"]), used.said["execsnoop"]


def test_bpftrace(used: Used) -> None:
    """A tracepoint, a USDT's arguments and a uprobe's, as the sample has them."""
    said = used.went_well("bpftrace")
    assert "@asked: 9" in said
    squares = {int(n): int(square) for n, square in re.findall(r"@squares\[(\d+)\]: (\d+)", said)}
    assert squares == {n: n * n for n in range(1, 10)}
    assert re.findall(r"^\[(\d+), \d+\)\s+(\d+) ", said, re.M) == [("0", "4"), ("5", "5")]


def test_bpftrace_types(used: Used) -> None:
    name = "bpftrace_types"
    if used.flavour == "nobtf":
        assert used.status(name) != 0
        assert "real_parent" in used.said[name]
        name = "bpftrace_external"
    assert re.search(r"^parent \d+ bpftrace$", used.went_well(name), re.M)


def test_kprobe_and_uprobe_events(used: Used) -> None:
    lines = used.said["events"].splitlines()
    assert any("opened:" in line and 'file="/klab/marked"' in line for line in lines)
    laps = [re.search(r"number=(\d+)", line)[1] for line in lines if " lap: (0x" in line]
    assert laps == ["1", "2", "3", "4", "5", "6"]


def test_synthetic_events_and_histogram(used: Used) -> None:
    """Each lap's number goes with the time that it took into an event that did not exist before."""
    found = re.findall(r"klab_done: late=(\d+) number=(\d+)", used.said["events"])
    assert [number for _, number in found] == ["1", "2", "3", "4", "5", "6"]
    counts = re.findall(r"number: ~ 2\^(\d+)\s*\} hitcount:\s+(\d+)", used.said["hist"])
    assert sorted(counts) == [("0", "1"), ("1", "1"), ("2", "2"), ("3", "2")]
    assert "Hits: 6" in used.said["hist"]


def test_function_graph(used: Used) -> None:
    lines = used.said["graph"].splitlines()
    calls = [line for line in lines if "_sys_getppid()" in line and "sample-" in line]
    assert len(calls) == 4


def test_user_events(used: Used) -> None:
    if used.flavour == "stock":
        assert "user_events: No such file or directory" in used.said["user_events"]
        return
    assert used.went_well("user_events").split() == ["registered", "0", "wanted", "1"]
    found = re.findall(r"klab_lap: number=\w+ \((\d+)\) square=\w+ \((\d+)\)", used.said["user_events_trace"])
    assert [(int(n), int(square)) for n, square in found] == [(n, n * n) for n in range(1, 6)]


def test_trace_cmd(used: Used) -> None:
    used.went_well("trace_cmd_record")
    lines = [line for line in used.went_well("trace_cmd").splitlines() if "sys_enter_getppid" in line]
    assert len(lines) == 8
    assert all(line.split()[0].startswith("sample-") for line in lines)


def test_perf(used: Used) -> None:
    line = ".".join(used.said["release"].split(".")[:2])
    assert used.went_well("perf_version").startswith(f"perf version {line}.")
    used.went_well("perf_record")
    rows = re.findall(r"^\s+([\d.]+)%\s+(\d+)\s+\[(.)\] (\S+)", used.went_well("perf_report"), re.M)
    share, samples, _, name = max(rows, key=lambda row: float(row[0]))
    assert name == "burn"
    assert float(share) > 50
    assert int(samples) > 50
    counts = {
        row.split(",")[2]: row.split(",")[0] for row in used.went_well("perf_stat").splitlines() if "," in row
    }
    assert counts["syscalls:sys_enter_getppid"] == "12"


def test_lttng(used: Used) -> None:
    for name in ("lttng_built", "lttng_daemon", "lttng_event", "lttng_app"):
        used.went_well(name)
    laps = re.findall(r"klab:lap: .*number = (\d+), square = (\d+)", used.went_well("lttng"))
    assert [(int(n), int(square)) for n, square in laps] == [(n, n * n) for n in range(1, 7)]


@pytest.mark.parametrize("tracer", ["osnoise", "timerlat"])
def test_latency(used: Used, tracer: str) -> None:
    """rtla: every sample is in the histogram or above it, and the least is not above the most."""
    if used.flavour == "stock":
        assert used.status(tracer) != 0
        assert tracer in used.said[tracer]
        return
    rows = dict(re.findall(r"^(count|min|max|over):\s+(.*)$", used.went_well(tracer), re.M))
    count, least, most = (
        [int(n) for n in re.findall(r"\d+", rows[name])] for name in ("count", "min", "max")
    )
    assert sum(count) > 0
    assert all(a <= b for a, b in zip(least, most, strict=True))
