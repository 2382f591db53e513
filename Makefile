# SPDX-License-Identifier: GPL-3.0-or-later
# klab's verbs. Each is a few plain commands; `make -n VERB` shows them.

PYTHON ?= python3
INVENTORY ?= inventories/single
MACHINE ?= lab1
FLAVOUR ?= lab
# Flavours whose promises verify-all proves; empty: all
FLAVOURS ?=
# Those that `make test` can have: lab is built on the way, Debian's are fetched. The
# others take a build each and are left to verify-all.
CI_FLAVOURS := lab stock rt
# What verify-all proves of labs; empty: all of it
CONTRACT ?=
# When the last lab may be begun, e.g. make test UNTIL=2026-11-30T18:00; those that are left are named. Empty: no end
UNTIL ?=
# What `make test` builds twice, byte for byte: the least kernel; the others take an hour each.
CI_REPRODUCED := own
# What verify-all runs; `make test` leaves out what takes many minutes: machines that boot by
# themselves, students who do harm, guests inside of an emulated machine, all tools of Track 5.
PROOFS ?= tests/machine tests/site tests/guests tests/labs tests/boot tests/inside tests/observability tests/classroom
# More for ansible-playbook, e.g. make lab ARGS='-e kernel_build_flavour=lab --tags kernel'
ARGS ?=
# A folder for JUnit files, e.g. make test JUNIT=results/local
JUNIT ?=

BIN := .venv/bin
# Ansible refuses a locale that is not there, such as one that ssh brought along.
export LC_ALL := C.UTF-8
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
junit = $(if $(JUNIT),--junit-xml=$(JUNIT)/$(1).xml)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help bootstrap doctor lab login reset stop verify verify-all verify-reproducible kernels test lint unit molecule docs clean distclean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-19s %s\n", $$1, $$2}' Makefile

bootstrap: ## make .venv and see to the host packages; at once when both are there
	@$(PYTHON) src/klab/bootstrap.py

doctor: bootstrap ## what this host can do and what it lacks, with a mend for each red line
	@$(BIN)/klab doctor

lab: bootstrap ## from nothing to a lab machine on a custom kernel; what is there already is reused
	$(BIN)/ansible-playbook playbooks/site.yml -i $(INVENTORY) $(ARGS)

reset: bootstrap ## back to the state of the machine right after its first boot
	@$(BIN)/klab vm reset --name $(MACHINE)

login: bootstrap ## a shell on the machine
	@$(BIN)/klab vm ssh $(MACHINE)

stop: bootstrap ## turn the machine off; `make lab` goes on where it stood
	@$(BIN)/klab vm stop --name $(MACHINE)

verify: bootstrap ## prove that the machine is what it should be
	$(BIN)/pytest tests/machine --klab-machine $(MACHINE) $(call junit,machine)

verify-all: bootstrap ## the same for all machines, that a second `make lab` changes nothing, and what FLAVOURS promise
	$(BIN)/pytest $(PROOFS) --klab-inventory $(INVENTORY) $(call junit,machine)
	$(BIN)/klab contract $(CONTRACT) $(if $(JUNIT),--junit $(JUNIT)/labs.xml)
	$(BIN)/pytest tests/flavours $(addprefix --klab-flavour=,$(FLAVOURS)) $(call junit,flavours)

kernels: bootstrap ## build or fetch FLAVOURS, else FLAVOUR, unless they are in the cache
	@for name in $(or $(FLAVOURS),$(FLAVOUR)); do $(BIN)/klab kernel build --flavour $$name || exit; done

test: FLAVOURS = $(CI_FLAVOURS)
test: PROOFS = tests/machine tests/site tests/guests
# Of the other tracks klab matrix shows the last proofs; make verify-all makes them anew.
test: CONTRACT = track:1 $(addprefix --flavour ,$(CI_FLAVOURS)) $(addprefix --until ,$(UNTIL))
test: lint unit lab kernels molecule verify-all ## everything that must be green on a change
	@$(BIN)/klab kernel verify-reproducible --flavour $(CI_REPRODUCED)

lint: bootstrap ## the linters and house rules
	$(BIN)/pytest tests/test_lint.py tests/test_habits*.py $(call junit,lint)

unit: bootstrap ## the unit tests
	$(BIN)/pytest tests/unit -n auto $(call junit,unit)

verify-reproducible: bootstrap ## build FLAVOUR twice from nothing and compare every byte
	@$(BIN)/klab kernel verify-reproducible --flavour $(FLAVOUR)

molecule: bootstrap ## the molecule scenarios
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/molecule test --all

docs: bootstrap ## write docs/reference and the roles' README files from their sources
	$(BIN)/python -m klab.docs --write

clean: ## remove what runs leave in the checkout; machines and cache stay
	rm -rf .ansible .mypy_cache .ruff_cache .pytest_cache results/local

distclean: clean ## the same and .venv
	rm -rf .venv .cache
