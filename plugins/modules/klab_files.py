#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many small files in one round trip."""

from __future__ import annotations

DOCUMENTATION = r"""
module: klab_files
short_description: Put many small files, links and folders in place at once
description:
  - One round trip for a list of files; a loop over M(ansible.builtin.copy) takes two for each.
  - Missing parent folders are made, mode 0755. Everything belongs to root unless an item says otherwise.
options:
  files:
    description: What shall be there.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: The absolute path.
        type: path
        required: true
      state:
        description:
          - A V(file) has O(files[].content), a V(link) points to O(files[].content).
          - V(lines) has the lines of O(files[].content) among its own.
        type: str
        choices: [file, lines, link, directory, absent]
        default: file
      content:
        description: The text of a file, the lines or the target of a link.
        type: str
        default: ""
      mode:
        description: Octal permissions of a file or folder; 0644 and 0755 when not given.
        type: str
      owner:
        description: Owner and group of the same name.
        type: str
        default: root
      live:
        description: What is put is in force at once; it makes nothing pending.
        type: bool
        default: false
  pending:
    description:
      - A file that is made before the first change, and removed by whoever puts the changes in force.
      - A run that is cut off in between leaves it, so that the next one knows.
    type: path
  accounts:
    description:
      - Accounts that shall be there before, each as its line of C(/etc/passwd), and without a password.
      - Where one is not, nothing is put, and RV(lacks) says which.
    type: list
    elements: str
    default: []
author: klab contributors
"""

EXAMPLES = r"""
- name: Mask a unit and set a default
  klab_files:
    files:
      - {path: /etc/systemd/system/fstrim.timer, state: link, content: /dev/null}
      - {path: /etc/default/locale, content: "LANG=C.UTF-8\n"}
"""

RETURN = r"""
paths:
  description: The paths that changed (or, in check mode, would change).
  type: list
  elements: str
  returned: always
pending:
  description: Whether changes are not in force yet (or, in check mode, would not be), if O(pending) is given.
  type: bool
  returned: success
lacks:
  description: Those of O(accounts) that are missing or otherwise.
  type: list
  elements: str
  returned: success
"""

# No AnsibleModule: an emulated machine takes three seconds to compile what comes with it,
# longer than all the rest. Ansible calls this kind a module with JSON arguments.
import json
import os
import pwd
import shutil
import sys
from pathlib import Path

STATES = ("file", "lines", "link", "directory", "absent")
ACCOUNTS, PASSWORDS = Path("/etc/passwd"), Path("/etc/shadow")
LOCKED = "*"  # locks the password and not the account: sshd still takes keys
DEFAULTS = {"path": "", "state": "file", "content": "", "mode": "", "owner": "root", "live": False}


def lacking(accounts: list[str]) -> list[str]:
    """Those of the accounts that are not as their lines say, or have a password."""
    if not accounts:
        return []
    there = ACCOUNTS.read_text().splitlines()
    fields = (line.split(":") for line in PASSWORDS.read_text().splitlines())
    open_ = {each[0] for each in fields if each[1:2] == [LOCKED]}
    return [line for line in accounts if line not in there or line.split(":")[0] not in open_]


def whole(path: Path, item: dict) -> str:
    """The content of the file as it shall be."""
    if item["state"] != "lines":
        return item["content"]
    before = "" if path.is_symlink() or not path.is_file() else path.read_text(errors="surrogateescape")
    there = before.splitlines()
    lines = [line for line in item["content"].splitlines() if line not in there]
    return "\n".join([*there, *lines]) + "\n" if lines else before


def is_right(path: Path, item: dict, mode: int, uid: int) -> bool:
    """Whether the path is as the item wants it."""
    if item["state"] == "absent":
        return not os.path.lexists(path)
    if item["state"] == "link":
        return path.is_symlink() and str(path.readlink()) == item["content"]
    if path.is_symlink() or not path.exists():
        return False
    info = path.stat()
    if (info.st_mode & 0o7777, info.st_uid, info.st_gid) != (mode, uid, uid):
        return False
    if item["state"] == "directory":
        return path.is_dir()
    return path.is_file() and path.read_bytes() == raw(whole(path, item))


def raw(content: str) -> bytes:
    """The bytes of a text, also of one that was not UTF-8 when it was read."""
    return content.encode(errors="surrogateescape")


def clear(path: Path) -> None:
    """Take away whatever is at the path."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()


def put(path: Path, item: dict, mode: int, uid: int) -> None:
    """Make the path as the item wants it; files and links appear whole."""
    state, content = item["state"], whole(path, item)
    if state == "absent" or (state == "directory") != (path.is_dir() and not path.is_symlink()):
        clear(path)
    if state == "absent":
        return
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    if state == "directory":
        path.mkdir(exist_ok=True)
        os.chown(path, uid, uid)
        path.chmod(mode)
        return
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    if state == "link":
        draft.symlink_to(content)
    else:
        draft.touch(mode=0o600)
        draft.write_bytes(raw(content))
        os.chown(draft, uid, uid)
        draft.chmod(mode)
    draft.rename(path)


def text(path: Path) -> str:
    """The path's content for a diff."""
    if path.is_symlink():
        return f"-> {path.readlink()}\n"
    return path.read_text(errors="replace") if path.is_file() else ""


def arguments(given: dict) -> tuple[list[dict], str]:
    """The items with their defaults, or what is wrong with them."""
    items = []
    for item in given.get("files") or []:
        filled = {**DEFAULTS, **{key: value for key, value in item.items() if value is not None}}
        path = filled["path"]
        if wrong := [str(key) for key in item if key not in DEFAULTS]:
            return [], f"{path}: no such option: {wrong[0]}"
        if not path.startswith("/"):
            return [], f"{path}: no absolute path"
        if filled["state"] not in STATES:
            return [], f"{path}: state is none of {', '.join(STATES)}"
        items.append(filled)
    return items, "" if items else "files is empty"


def run(given: dict) -> dict:
    """Compare and put each item; the module's answer."""
    items, wrong = arguments(given)
    if wrong:
        return {"failed": True, "msg": wrong}
    check = given.get("_ansible_check_mode", False)
    lacks = lacking(given.get("accounts") or [])
    if lacks:
        return {"changed": False, "paths": [], "pending": False, "lacks": lacks}
    paths, diffs = [], []
    mark = Path(given["pending"]) if given.get("pending") else None
    pending = bool(mark and mark.exists())
    for item in items:
        path = Path(item["path"])
        mode = int(item["mode"] or ("0755" if item["state"] == "directory" else "0644"), 8)
        try:
            uid = pwd.getpwnam(item["owner"]).pw_uid
        except KeyError:
            if not check:
                return {"failed": True, "msg": f"{path}: there is no user {item['owner']}", "paths": paths}
            uid = -1  # would be made before by a real run
        if is_right(path, item, mode, uid):
            continue
        after = f"-> {item['content']}\n" if item["state"] == "link" else whole(path, item)
        diffs.append(
            {"before_header": str(path), "after_header": str(path), "before": text(path), "after": after}
        )
        paths.append(str(path))
        if not check:
            try:
                if mark and not pending and not item["live"]:
                    mark.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
                    mark.touch()
                put(path, item, mode, uid)
            except OSError as error:
                return {"failed": True, "msg": f"{path}: {error.strerror}", "paths": paths}
        pending = pending or bool(mark and not item["live"])
    return {"changed": bool(paths), "paths": paths, "pending": pending, "lacks": [], "diff": diffs}


def main() -> None:
    """Answer Ansible."""
    # Ansible puts the arguments here, as JSON, because of this marker: <<INCLUDE_ANSIBLE_MODULE_JSON_ARGS>>
    said = run(json.loads("<<INCLUDE_ANSIBLE_MODULE_COMPLEX_ARGS>>"))
    print(json.dumps(said))
    sys.exit(1 if said.get("failed") else 0)


if __name__ == "__main__":
    main()
