# SPDX-License-Identifier: GPL-3.0-or-later
# What gdb is to do once it is connected and the kernel stands still:
#
#     klab debuggee gdb -- -batch -x session.gdb
#
# The symbols of the modules that are loaded; the files are looked for here.
lx-symbols .

# TODO: find the gate that the boat waits at. Print, for any sluice:
#   GATE=number   KEY=its key, in decimal   KEEPER=pid of its keeper   CAUSE=debt or shut
# TODO: let the boat go on, watch for the next change of rounds, and print who made it:
#   BY=name of the function

detach
