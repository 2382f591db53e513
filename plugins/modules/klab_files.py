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

import os
import pwd
import shutil
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule


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


def main() -> None:
    """Compare and put each item."""
    module = AnsibleModule(
        argument_spec={
            "files": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "path": {"type": "path", "required": True},
                    "state": {
                        "type": "str",
                        "default": "file",
                        "choices": ["file", "link", "directory", "absent"],
                    },
                    "content": {"type": "str", "default": ""},
                    "mode": {"type": "str"},
                    "owner": {"type": "str", "default": "root"},
                },
            }
        },
        supports_check_mode=True,
    )
    paths, diffs = [], []
    for item in module.params["files"]:
        path = Path(item["path"])
        mode = int(item["mode"] or ("0755" if item["state"] == "directory" else "0644"), 8)
        try:
            uid = pwd.getpwnam(item["owner"]).pw_uid
        except KeyError:
            if not module.check_mode:
                module.fail_json(msg=f"{path}: there is no user {item['owner']}")
            uid = -1  # would be made before by a real run
        if is_right(path, item, mode, uid):
            continue
        after = f"-> {item['content']}\n" if item["state"] == "link" else item["content"]
        diffs.append(
            {"before_header": str(path), "after_header": str(path), "before": text(path), "after": after}
        )
        paths.append(str(path))
        if not module.check_mode:
            try:
                put(path, item, mode, uid)
            except OSError as error:
                module.fail_json(msg=f"{path}: {error.strerror}", paths=paths)
    module.exit_json(changed=bool(paths), paths=paths, diff=diffs)


if __name__ == "__main__":
    main()
