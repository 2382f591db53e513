# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run shows while it works: progress lines as they come, and stage times."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path

from klab.paths import log_dir
from klab.progress import human

POLL_S = 0.5  # seconds between two looks at the progress file


class Follower:
    """Prints each whole line that is appended to a file, from a thread of its own.

    It writes with one os.write per batch and takes no lock of Python's: Ansible forks
    its workers while this thread runs, and a lock held at that moment would stay held in
    the child for ever.
    """

    def __init__(self, path: Path, out: int | None = None) -> None:
        self.path = path
        self.out = out
        self._rest = b""
        self._offset = 0
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to follow; a second call changes nothing."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True, name="klab-progress")
            self._thread.start()

    def stop(self) -> None:
        """Print what is left and end the thread."""
        self._end.set()
        if self._thread is not None:
            self._thread.join()
        self._show()

    def _run(self) -> None:
        while not self._end.wait(POLL_S):
            self._show()

    def _show(self) -> None:
        try:
            with self.path.open("rb") as stream:
                stream.seek(self._offset)
                fresh = stream.read()
        except OSError:
            return
        self._offset += len(fresh)
        *lines, self._rest = (self._rest + fresh).split(b"\n")
        if lines:
            text = b"".join(b"    " + line + b"\n" for line in lines)
            try:
                os.write(sys.stdout.fileno() if self.out is None else self.out, text)
            except (OSError, ValueError):
                return  # nobody reads any more; progress is a courtesy


class Stages:
    """How long each named stage of a run took, in wall seconds.

    The times so far are kept in `stages.json` of the log folder, for `klab report`.
    """

    def __init__(self) -> None:
        self._done: list[dict[str, object]] = []
        self._name = ""
        self._began = 0.0
        self._used = False

    def begin(self, name: str) -> None:
        """End the stage under way, if any, and start the named one."""
        self._close()
        self._name, self._began, self._used = name, time.monotonic(), False
        self._save()

    def touch(self) -> None:
        """The stage under way has done something."""
        self._used = True

    def finish(self) -> list[str]:
        """End the last stage; one line for each stage that did something."""
        self._close()
        self._save()
        width = max((len(str(stage["name"])) for stage in self._done), default=0)
        return [f"{stage['name']!s:<{width}}  {human(float(str(stage['wall_s'])))}" for stage in self._done]

    def _close(self) -> None:
        if self._name and self._used:
            self._done.append({"name": self._name, "wall_s": round(time.monotonic() - self._began, 2)})
        self._name = ""

    def _save(self) -> None:
        try:
            log_dir().mkdir(parents=True, exist_ok=True)
            draft = log_dir() / f"stages.json.{os.getpid()}"
            draft.write_text(json.dumps({"stages": self._done}, indent=2) + "\n")
            draft.rename(log_dir() / "stages.json")
        except OSError:
            pass  # the times are a courtesy; never the reason a run fails
