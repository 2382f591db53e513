# SPDX-License-Identifier: GPL-3.0-or-later
# mask.sh ACT PATH…: point each path at /dev/null and name those that did not yet;
# ACT `check` only names them.
act=$1
shift
for path do
    [ "$(readlink "$path")" != /dev/null ] || continue
    [ "$act" = check ] || { mkdir -p "${path%/*}"; ln -sfn /dev/null "$path"; }
    echo "$path"
done
