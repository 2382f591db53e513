#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# net.sh up | down: this computer between clients and four back ends, each in a network namespace of its own, with
# the balancer attached. Wants root, and a kernel of the course. Complete.
#
#   client 10.1.0.2 --- front 10.1.0.1   10.2.N.1 backN --- bN 10.2.N.2
#
# The service is 10.9.0.1. Programs and maps are pinned in /sys/fs/bpf/lb.
pins=/sys/fs/bpf/lb
here=$(cd "$(dirname "$0")" && pwd)

link() { # NAMESPACE NAME-HERE NETWORK
  ip netns add "$1"
  ip link add "$2" type veth peer name eth0 netns "$1"
  ip address add "$3.1/24" dev "$2"
  ip link set "$2" up
  ip -n "$1" link set lo up
  ip -n "$1" address add "$3.2/24" dev eth0
  ip -n "$1" link set eth0 up
  ip -n "$1" route add default via "$3.1"
}

case $1 in
up)
  set -e
  mount | grep -q ' /sys/fs/bpf ' || mount -t bpf bpf /sys/fs/bpf
  mkdir -p $pins
  bpftool prog loadall "$here/lb.bpf.o" $pins/programs pinmaps $pins/maps
  link client front 10.1.0
  for n in 0 1 2 3; do link b$n back$n 10.2.$n; done
  ip address add 10.9.0.1/32 dev lo
  ip link set lo up
  echo 1 >/proc/sys/net/ipv4/ip_forward
  python3 "$here/sums.py" front
  ip netns exec client python3 "$here/sums.py" eth0
  ip link set dev front xdpdrv pinned $pins/programs/balance
  tc qdisc add dev front clsact
  tc filter add dev front egress bpf direct-action pinned $pins/programs/reply
  ;;
down)
  for n in client b0 b1 b2 b3; do ip netns del $n; done
  ip address del 10.9.0.1/32 dev lo
  rm -rf $pins
  ;;
esac
