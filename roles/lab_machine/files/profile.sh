# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# From klab, which puts it back.
case ":$PATH:" in
*:/usr/sbin:*) ;;
*) PATH=/usr/local/sbin:/usr/sbin:/sbin:$PATH ;;
esac
