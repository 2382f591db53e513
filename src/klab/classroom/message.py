# SPDX-License-Identifier: GPL-3.0-or-later
"""A message to seats: on the terminals that are open, and at each login until it is taken back."""

from __future__ import annotations

from klab.classroom import ask
from klab.classroom.reach import Reached
from klab.desk.talk import CONTROL

LIMIT = 2000  # characters
# Whole or not at all. A seat without wall, or where nobody sits at a terminal, shows it at login.
SHOW = """set -e; sudo -n sh -ec 'cat >/var/lib/klab-message.new; chmod 644 /var/lib/klab-message.new
mv /var/lib/klab-message.new /var/lib/klab-message
echo "[ ! -r /var/lib/klab-message ] || cat /var/lib/klab-message" >/etc/profile.d/klab-message.sh'
sudo -n wall /var/lib/klab-message 2>/dev/null || true"""
CLEAR = "sudo -n rm -f /var/lib/klab-message /etc/profile.d/klab-message.sh"


def plain(text: str) -> str:
    """The text as a terminal may have it: no orders to it, and not without end."""
    return CONTROL.sub("?", text.strip())[:LIMIT]


def show(seat: Reached, text: str) -> None:
    """Show a message on a seat. Raises KlabError when it does not answer."""
    ask.run(seat, SHOW, send=f"From your teacher: {plain(text)}\n".encode(), deadline_s=20)


def clear(seat: Reached) -> None:
    """Take the last message back."""
    ask.run(seat, CLEAR, deadline_s=20)
