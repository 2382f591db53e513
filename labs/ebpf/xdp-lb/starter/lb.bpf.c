// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * balance, XDP, on the way in: a TCP packet to the service gets the address and port of a back end, its checksums are
 * those of the packet that it has become, and the kernel forwards it (XDP_PASS).
 *
 *  - A SYN (without ACK) begins a connection. It goes to a back end that is up, chosen by the client's address and port
 *    alone, and evenly. When back ends come or go, only those connections get another one that have to: those of the
 *    one that has gone, or those that the new one takes.
 *  - All that follows goes where the SYN went, whether that back end is still up or not. Of what nobody has seen begin
 *    (the table was lost) the back end is chosen as if it began now.
 *  - `connections` knows who is where; `counted` counts.
 *  - Nobody is up: the packet is dropped.
 *  - Anything else passes as it is: other protocols, addresses and ports; fragments; what is cut off.
 *
 * reply, tc, on the way out to the clients: a packet of such a connection comes from the service, not from a back end.
 * Anything else passes as it is: who talks to a back end directly gets its answers from there.
 */
#include "lb.h"

SEC("xdp")
int balance(struct xdp_md *ctx)
{
	/* TODO */
	return XDP_PASS;
}

SEC("tc")
int reply(struct __sk_buff *skb)
{
	/* TODO */
	return TC_ACT_OK;
}
