#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""How playbooks/classroom_open.yml grows with the class: machines of klab's, and light seats.

  open    the first run: keys, machines, labs; the template of machines is made before
  again   another run, with nothing to do
  memory  proportional set size of all QEMUs together, a minute later

Whole commands, in a state folder of their own; nothing else should run meanwhile. Light seats need root.

Run: .venv/bin/python bench/class_scaling.py [--vms 1,2,4,8] [--light 1,10,50,100] [--write]
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import class_soak
import click
from seats import pss_mib

from klab.classroom import scaling
from klab.machine import model, process
from klab.paths import repo_dir

REST_S = 60.0
CLASS = "scale"


def define(folder: Path, count: int) -> None:
    """A class of so many machines on this computer, as inventories/classroom has it."""
    shutil.copytree(repo_dir() / "inventories/classroom", folder, dirs_exist_ok=True)
    text = (folder / "klab.yml").read_text()
    (folder / "klab.yml").write_text(text.replace("class: kernel\n", f"class: {CLASS}\n"))
    rows = [f"s{number:02},Seat {number},,,," for number in range(1, count + 1)]
    (folder / "roster.csv").write_text("\n".join(["login,name,key,seat,group,path", *rows]) + "\n")


def destroyed() -> None:
    """No machine is left."""
    for machine in model.everyone():
        argv = [sys.executable, "-m", "klab", "vm", "destroy", "--name", machine.name, "--yes"]
        subprocess.run(argv, check=True, capture_output=True)


def vms(count: int) -> dict[str, Any]:
    """Open a class of machines, twice."""
    with tempfile.TemporaryDirectory(prefix="klab-scale-") as name:
        os.environ["KLAB_STATE"] = f"{name}/state"
        folder, log = Path(name, "class"), Path(name, "log")
        env = {**os.environ, "ANSIBLE_CONFIG": str(repo_dir() / "ansible.cfg"), "LC_ALL": "C.UTF-8"}
        define(folder, 1)
        try:
            runs = [class_soak.opened(folder, log, env)]
            subprocess.run(
                [sys.executable, "-m", "klab", "vm", "destroy", "--name", f"{CLASS}-s01", "--yes"],
                check=True, capture_output=True,
            )  # fmt: skip
            define(folder, count)
            runs += [class_soak.opened(folder, log, env) for _ in range(2)]
            if any(run.code for run in runs):
                sys.exit(log.read_text()[-4000:])
            time.sleep(REST_S)
            pids = [pid for machine in model.everyone() if (pid := process.pid_of(machine))]
            memory = sum(map(pss_mib, pids))
        finally:
            destroyed()
    return {
        "seats": count, "open_s": round(runs[1].wall_s, 1), "again_s": round(runs[2].wall_s, 1),
        "memory_mib": round(memory),
    }  # fmt: skip


def light(count: int) -> dict[str, Any]:
    """The same with light seats."""
    with class_soak.room(count) as (folder, _, env):
        runs = [class_soak.opened(folder / "class", folder / "log", env) for _ in range(2)]
        if any(run.code for run in runs):
            sys.exit((folder / "log").read_text()[-4000:])
    return {"seats": count, "open_s": round(runs[0].wall_s, 1), "again_s": round(runs[1].wall_s, 1)}


@click.command()
@click.option(
    "--vms", "machines", default="1,2,4,8", show_default=True, help="Classes of machines; empty: none."
)
@click.option("--light", "lights", default="1,10,50,100", show_default=True, help="Of light seats.")
@click.option("--write", is_flag=True, help=f"Keep the result in {scaling.KEPT}.")
def main(machines: str, lights: str, write: bool) -> None:
    """Print the results as JSON."""
    found = scaling.kept(repo_dir())
    for kind, asked, measure in (("vms", machines, vms), ("light", lights, light)):
        counts = [int(word) for word in asked.split(",") if word]
        if counts:
            rows = []
            for count in counts:
                rows.append(measure(count))
                print(json.dumps(rows[-1]), flush=True)
            found[kind] = {"date": time.strftime("%F", time.gmtime()), "rows": rows}
    if write:
        (repo_dir() / scaling.KEPT).write_text(json.dumps(found, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
