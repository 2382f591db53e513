# SPDX-License-Identifier: GPL-3.0-or-later
"""klab's commands in a sandbox: a cache, a state and kernels of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fixtures import fakekernels
from klab.paths import repo_dir


@dataclass(frozen=True)
class Sandbox:
    """Folders of its own and the environment that leads klab to them."""

    folder: Path
    env: dict[str, str]

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def klab(self, *words: str, before: Sequence[str] = (), timeout_s: float = 120) -> "Said":
        """Run `klab WORDS --json` as a person's shell would, in a process of its own."""
        argv = [*before, sys.executable, "-m", "klab", *words, "--json"]
        done = subprocess.run(
            argv, env=self.env, capture_output=True, text=True, check=False, timeout=timeout_s
        )
        try:
            answer = json.loads(done.stdout.splitlines()[-1])
        except (IndexError, ValueError):
            pytest.fail(f"{' '.join(words)} gave no answer ({done.returncode}): {done.stdout}{done.stderr}")
        return Said(done.returncode, answer, done.stderr)


@dataclass(frozen=True)
class Said:
    """What a command answered."""

    code: int
    answer: dict[str, Any]
    stderr: str

    def refused(self, what: str, *, step: str, mend: str) -> dict[str, Any]:
        """It failed with one clear error that holds these words; returns the error."""
        assert self.code == 1, self.answer
        assert "Traceback" not in self.stderr
        error = self.answer["error"]
        assert what in error["what"]
        assert step in error["step"]
        assert mend in error["mend"]
        if "log" in error:
            assert Path(error["log"]).is_file()
        return error


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    """klab with the fake kernel's flavours, this host's tools, and an empty cache and state."""
    kernels = fakekernels.lay_out(tmp_path / "kernels")
    env = {
        **os.environ,
        "KLAB_BUILD_ROOT": "host",
        "KLAB_CACHE": str(tmp_path / "cache"),
        "KLAB_KERNELS": str(kernels),
        "KLAB_REPO": str(repo_dir()),
        "KLAB_STATE": str(tmp_path / "state"),
    }
    return Sandbox(tmp_path, env)
