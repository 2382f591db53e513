#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# verify.sh RELEASE [vmlinux]: is the kernel whole? One sentence for what is not.
release=$1
fail() {
    echo "kernel $release: $1" >&2
    exit 1
}
[ -s "/boot/vmlinuz-$release" ] || fail "/boot/vmlinuz-$release is missing"
[ -s "/boot/config-$release" ] || fail "/boot/config-$release is missing"
[ -s "/boot/System.map-$release" ] || fail "/boot/System.map-$release is missing"
[ -e "/lib/modules/$release/modules.dep" ] || fail "depmod has not run"
[ -s "/lib/modules/$release/build/Makefile" ] || fail "/lib/modules/$release/build leads to no headers"
[ -s "/lib/modules/$release/build/include/config/auto.conf" ] || fail "the headers hold no configuration"
# A build of nothing: the headers' own tools run here.
empty=$(mktemp -d)
trap 'rm -rf "$empty"' EXIT
: >"$empty/Kbuild"
if command -v make >/dev/null && command -v gcc >/dev/null; then
    make -s -C "/lib/modules/$release/build" M="$empty" modules >"$empty/log" 2>&1 ||
        fail "the headers do not build: $(tail -3 "$empty/log")"
fi
[ -z "${2:-}" ] || [ -s "/usr/lib/debug/lib/modules/$release/vmlinux" ] || fail "vmlinux is missing"
[ -z "${2:-}" ] || [ -s "/usr/lib/debug/lib/modules/$release/vmlinux-gdb.py" ] || fail "gdb's scripts are missing"
