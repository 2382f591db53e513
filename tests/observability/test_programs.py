# SPDX-License-Identifier: GPL-3.0-or-later
"""Every type of BPF programs runs on the kernel `lab`; without BTF, those that need it say so."""

import pytest

from klab.kernel import programs

TYPED = {"fentry", "tp_btf", "lsm", "iter", "struct_ops", "sched_ext"}


@pytest.mark.parametrize(("flavour", "without"), [("lab", set()), ("nobtf", TYPED)])
def test_types(flavour: str, without: set[str]) -> None:
    said = programs.tried(flavour)["programs"]
    assert len(said) >= 21
    assert {name for name, answer in said.items() if answer != programs.RAN} == without, said
    for name in without:
        assert "BTF" in said[name]
