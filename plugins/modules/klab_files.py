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
        description: A V(file) has O(files[].content), a V(link) points to O(files[].content).
        type: str
        choices: [file, link, directory, absent]
        default: file
      content:
        description: The text of a file or the target of a link.
        type: str
        default: ""
      mode:
        description: Octal permissions of a file or folder; 0644 and 0755 when not given.
        type: str
      owner:
        description: Owner and group of the same name.
        type: str
        default: root
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
"""

# No AnsibleModule: an emulated machine takes three seconds to compile what comes with it,
# longer than all the rest. Ansible calls this kind a module with JSON arguments.
import json
import os
import pwd
import shutil
import sys
from pathlib import Path

STATES = ("file", "link", "directory", "absent")
DEFAULTS = {"path": "", "state": "file", "content": "", "mode": "", "owner": "root"}


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
    return path.is_file() and path.read_bytes() == item["content"].encode()


def clear(path: Path) -> None:
    """Take away whatever is at the path."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()


def put(path: Path, item: dict, mode: int, uid: int) -> None:
    """Make the path as the item wants it; files and links appear whole."""
    state = item["state"]
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
        draft.symlink_to(item["content"])
    else:
        draft.touch(mode=0o600)
        draft.write_bytes(item["content"].encode())
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
        whole = {**DEFAULTS, **{key: value for key, value in item.items() if value is not None}}
        path = whole["path"]
        if wrong := [str(key) for key in item if key not in DEFAULTS]:
            return [], f"{path}: no such option: {wrong[0]}"
        if not path.startswith("/"):
            return [], f"{path}: no absolute path"
        if whole["state"] not in STATES:
            return [], f"{path}: state is none of {', '.join(STATES)}"
        items.append(whole)
    return items, "" if items else "files is empty"


def run(given: dict) -> dict:
    """Compare and put each item; the module's answer."""
    items, wrong = arguments(given)
    if wrong:
        return {"failed": True, "msg": wrong}
    check = given.get("_ansible_check_mode", False)
    paths, diffs = [], []
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
        after = f"-> {item['content']}\n" if item["state"] == "link" else item["content"]
        diffs.append(
            {"before_header": str(path), "after_header": str(path), "before": text(path), "after": after}
        )
        paths.append(str(path))
        if not check:
            try:
                put(path, item, mode, uid)
            except OSError as error:
                return {"failed": True, "msg": f"{path}: {error.strerror}", "paths": paths}
    return {"changed": bool(paths), "paths": paths, "diff": diffs}


def main() -> None:
    """Answer Ansible."""
    # Ansible puts the arguments here, as JSON, because of this marker: <<INCLUDE_ANSIBLE_MODULE_JSON_ARGS>>
    said = run(json.loads("<<INCLUDE_ANSIBLE_MODULE_COMPLEX_ARGS>>"))
    print(json.dumps(said))
    sys.exit(1 if said.get("failed") else 0)


if __name__ == "__main__":
    main()
