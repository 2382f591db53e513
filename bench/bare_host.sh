#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# From a bare root with only git, make and Python to a ready .venv, timed.
#
#   bench/bare_host.sh [bookworm|trixie]
#   bench/bare_host.sh noble MIRROR    # another distribution: its keyring must be on this host
#
# Shows what a developer's machine hides: a package or a Python module that no step
# of klab installs. apt and pip are set up in the root as they are on this host.
set -euo pipefail
suite=${1:-bookworm}
mirror=${2:-} # empty: what this host's apt is set up with
repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d)
[ "$(id -u)" = 0 ] || { echo "bare_host: run as root: it plays both root and an ordinary user" >&2; exit 1; }
trap 'rm -rf "$work"' EXIT

mmdebstrap --quiet --variant=minbase --include=apt,ca-certificates,git,make,python3,passwd "$suite" "$work/root" ${mirror:+"deb $mirror $suite main universe"}
git clone --quiet "$repo" "$work/root/srv/klab"
for config in /etc/pip.conf /etc/xdg/pip /usr/local/share/ca-certificates; do
    [ ! -e "$config" ] || { mkdir -p "$work/root$(dirname "$config")" && cp -rT "$config" "$work/root$config"; }
done

cat >"$work/root/srv/bare" <<'INSIDE'
set -euo pipefail
update-ca-certificates >/dev/null 2>&1
useradd --create-home learner
chown -R learner: /srv/klab
as_learner() { runuser -u learner -- env HOME=/home/learner sh -c "cd /srv/klab && $1"; }
seconds() { local start=$SECONDS; "$@" >/srv/log 2>&1 || { cat /srv/log; exit 1; }; echo "$((SECONDS - start)) s"; }

if as_learner 'make bootstrap' >/srv/said 2>&1; then
    echo "bare_host: nothing was missing on a bare host" >&2
    exit 1
fi
line=$(sed -n 's/.*do: sudo //p' /srv/said)
echo "ordinary user, told:        $line"
apt-get update -q >/dev/null
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # the line is meant to be split
echo "that line:                  $(seconds $line)"
echo "ordinary user, bootstrap:   $(seconds as_learner 'make bootstrap')"
echo "again:                      $(seconds as_learner 'make bootstrap')"
as_learner '.venv/bin/klab --version && .venv/bin/ansible --version | sed -n 1p'
# As root, with a package missing again and a venv that somebody else made.
apt-get purge -q -y mmdebstrap >/dev/null 2>&1
chown -R root: /srv/klab
cd /srv/klab
echo "root, bootstrap:            $(seconds make bootstrap)"
command -v mmdebstrap >/dev/null
INSIDE
"$repo/src/klab/data/klab-chroot" "$work/root" bash /srv/bare
