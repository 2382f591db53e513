#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Boot a machine with GRUB on another kernel, with a way back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: klab_grub
short_description: Boot a machine with GRUB on another kernel, with a way back
description:
  - A kernel is started once, by C(grub-reboot) or kexec, and becomes the default only when it is confirmed.
    Until then each further start, as after a panic, is one on the default.
  - Kernels that this computer boots with arguments of their own stand in C(/etc/klab/boot/entries), and
    C(/etc/grub.d/11_klab) makes menu entries of them.
options:
  action:
    description:
      - V(look) tells what there is and changes nothing.
      - V(pin) makes the kernel that runs the default, so that one that is installed next does not become it
        by its number, and notes O(release) and O(arguments), unless there is a note of that release.
      - V(entry) sees that a kernel that was noted and installed has its menu entry.
      - V(arm) has O(release) started by the next restart, once; the restart itself is the caller's.
      - V(confirm) makes the kernel that was armed the default if it is the one that runs.
    type: str
    choices: [look, pin, entry, arm, confirm]
    required: true
  release:
    description: The kernel's release.
    type: str
  arguments:
    description: Arguments besides those that all kernels of the machine get.
    type: str
    default: ""
  patience:
    description: Seconds after which a started kernel that nobody confirms is left again.
    type: int
    default: 600
  kexec:
    description: Load the kernel for C(systemctl kexec) instead of marking it in GRUB.
    type: bool
    default: false
author: klab contributors
"""

EXAMPLES = r"""
- name: Have a kernel started once
  klab_grub:
    action: arm
    release: 6.12.117-klab-lab
"""

RETURN = r"""
grub:
  description: Whether the machine is booted by GRUB.
  type: bool
  returned: always
running:
  description: The release that runs.
  type: str
  returned: always
right:
  description: Whether O(release) runs with O(arguments) and is the default.
  type: bool
  returned: O(action=look)
boot_id:
  description: What the kernel calls this boot; the next one has another.
  type: str
  returned: O(action=arm)
confirmed:
  description: Whether the armed kernel runs.
  type: bool
  returned: O(action=confirm)
"""

import os
from pathlib import Path

from ansible.module_utils import klab_grub_menu as grub
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.klab_grub_menu import ROOT, TRIAL, Entry, Trouble, run, text

# Seconds of patience, the command line of the kernel on trial, and the boot before it.
ARMED = ROOT / "etc/klab/boot/armed"

# File systems, as stat names them, to which GRUB can write that the one-shot entry is used up.
WRITABLE = {"ext2/ext3", "xfs", "msdos"}


def pin(release: str, arguments: str) -> bool:
    """Make the entry that runs the default, unless one is chosen already; note what comes next."""
    listed = grub.menu()
    noted = bool(grub.note(release))
    if not noted:
        grub.write(release, release, arguments)
    if grub.default() in {e.path for e in listed}:
        return not noted
    same = [e for e in listed if e.release == os.uname().release]
    exact = [e for e in same if e.cmdline == grub.running()] or same
    if not exact:
        raise Trouble(f"GRUB has no entry for the kernel that runs, {os.uname().release}: run update-grub")
    run("grub-set-default", exact[0].path)
    return True


def update(release: str) -> bool:
    """Run update-grub where the hooks of the kernel's packages did not."""
    if grub.ours(release):
        return False
    run("update-grub")
    if grub.ours(release) is None:
        raise Trouble(f"update-grub made no entry for the kernel {release}")
    return True


def names(release: str) -> tuple[set[str], set[str]]:
    """Names of the drivers that a kernel has built in, and of its modules."""
    folder = ROOT / "lib/modules" / release

    def listed(name: str) -> set[str]:
        paths = (line.split(":")[0].strip() for line in text(folder / name).splitlines())
        return {Path(p).name.split(".ko")[0].replace("-", "_") for p in paths if p}

    return listed("modules.builtin"), listed("modules.dep")


def root_drivers() -> list[str]:
    """The drivers between the processor and the root file system, itself among them."""
    for line in text(ROOT / "proc/self/mountinfo").splitlines():
        fields = line.split()
        if fields[4] != "/":
            continue
        found = [fields[fields.index("-") + 1]]
        place = (ROOT / "sys/dev/block" / fields[2]).resolve()
        for folder in [place, *place.parents]:
            for link in (folder / "driver/module", folder / "driver"):
                if link.exists():
                    found.append(link.resolve().name.replace("-", "_"))
                    break
        return found
    return []


def lacking(entry: Entry) -> list[str]:
    """What a kernel lacks to start on this machine, as far as its files tell."""
    found = []
    config = text(ROOT / f"boot/config-{entry.release}")
    if (ROOT / "sys/firmware/efi").exists() and config and "CONFIG_EFI_STUB=y" not in config:
        found.append("CONFIG_EFI_STUB, by which UEFI starts it")
    known = set.union(*names(os.uname().release))
    builtin, modules = names(entry.release)
    for driver in root_drivers():
        there = driver in builtin or (entry.initrd and driver in modules)
        if driver in known and not there:
            found.append(f"the driver {driver} of the root file system")
    return found


def require_way_back(entry: Entry) -> None:
    """Raise Trouble unless a start after this trial is one on a whole default."""
    if "panic=" not in entry.cmdline:
        raise Trouble(
            f"a panic of {entry.release} would not restart the machine: there is no panic= in its entry"
        )
    back = next((e for e in grub.menu() if e.path == grub.default()), None)
    if back is None:
        raise Trouble("GRUB has no default that exists, so there is no way back: action pin makes one")
    if not (ROOT / f"boot/vmlinuz-{back.release}").exists():
        raise Trouble(f"the default kernel {back.release} is gone from /boot")
    kind = run("stat", "-f", "-c", "%T", str(ROOT / "boot/grub")).strip()
    if kind not in WRITABLE or run("grub-probe", "--target=abstraction", str(ROOT / "boot/grub")).strip():
        raise Trouble(
            f"GRUB cannot write to /boot/grub here ({kind}), so a kernel that panics would be started "
            "for ever: choose the kernel by hand in GRUB's menu"
        )


def arm(release: str, arguments: str, patience: int, kexec: bool) -> Entry:
    """Prepare one start of a kernel; the restart is still to come."""
    if not (ROOT / f"boot/vmlinuz-{release}").exists():
        raise Trouble(f"the kernel {release} is not installed")
    entry = grub.find(release, arguments)
    if entry is None:
        grub.write(TRIAL, release, arguments)
        run("update-grub")
        entry = grub.ours(TRIAL)
    if entry is None:
        raise Trouble(f"update-grub made no entry for the kernel {release}")
    if missing := lacking(entry):
        raise Trouble(f"the kernel {release} cannot start this machine, it lacks {', '.join(missing)}")
    if entry.path != grub.default():
        require_way_back(entry)
    ARMED.parent.mkdir(parents=True, exist_ok=True)
    ARMED.write_text(f"{patience}\n{entry.cmdline}\n{boot_id()}\n")
    if kexec:
        load(entry)
    else:
        run("grub-reboot", entry.path)
    os.sync()
    return entry


def boot_id() -> str:
    """What is another one after each start."""
    return text(ROOT / "proc/sys/kernel/random/boot_id").strip()


def load(entry: Entry) -> None:
    """Load the kernel of an entry for `systemctl kexec`."""
    kernel = ROOT / f"boot/vmlinuz-{entry.release}"
    initrd = ROOT / f"boot/initrd.img-{entry.release}"
    words = [f"--initrd={initrd}"] if entry.initrd else []
    try:
        run("kexec", "--load", str(kernel), *words, f"--command-line={entry.cmdline}")
    except FileNotFoundError:
        raise Trouble("there is no kexec here: install kexec-tools, or restart instead") from None


def confirm() -> bool:
    """Make the armed kernel the default if it runs; otherwise forget it."""
    _, wanted, before = [*text(ARMED).split("\n"), "", "", ""][:3]
    if before == boot_id():
        raise Trouble("the machine has not restarted since the kernel was armed")
    good = bool(wanted) and wanted == grub.running()
    entry = next((e for e in grub.menu() if e.cmdline == wanted), None)
    if good and entry and entry.path == f"klab-{TRIAL}":
        (grub.NOTES / TRIAL).replace(grub.NOTES / entry.release)
        run("update-grub")
        entry = grub.ours(entry.release)
    if good and entry:
        run("grub-set-default", entry.path)
    (grub.NOTES / TRIAL).unlink(missing_ok=True)
    ARMED.unlink(missing_ok=True)
    if good:
        run("systemctl", "stop", "klab-trial.service")
    return good


def act(module: AnsibleModule) -> dict:
    """Do what is asked; the result's own fields."""
    options = module.params
    release, arguments = options["release"] or "", " ".join(options["arguments"].split())
    if options["action"] == "look":
        entry = grub.find(release, arguments)
        right = bool(entry) and entry.cmdline == grub.running() and entry.path == grub.default()
        return {"changed": False, "right": right}
    if module.check_mode:
        return {"changed": options["action"] == "arm", "confirmed": True}
    if options["action"] == "pin":
        return {"changed": pin(release, arguments)}
    if options["action"] == "entry":
        return {"changed": update(release)}
    if options["action"] == "arm":
        entry = arm(release, arguments, options["patience"], options["kexec"])
        return {"changed": True, "entry": entry.path, "boot_id": boot_id()}
    return {"changed": True, "confirmed": confirm()}


def main() -> None:
    """Do it where GRUB boots the machine; elsewhere say that it does not."""
    module = AnsibleModule(
        argument_spec={
            "action": {
                "type": "str",
                "required": True,
                "choices": ["look", "pin", "entry", "arm", "confirm"],
            },
            "release": {"type": "str"},
            "arguments": {"type": "str", "default": ""},
            "patience": {"type": "int", "default": 600},
            "kexec": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    result = {"changed": False, "grub": bool(grub.menu()), "running": os.uname().release}
    if result["grub"]:
        try:
            result |= act(module)
        except Trouble as trouble:
            module.fail_json(msg=str(trouble), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
