# SPDX-License-Identifier: GPL-3.0-or-later
"""One test for each promise of each flavour; what is left out is said."""

import pytest

from klab.kernel import flavour as flavours


def chosen(config: pytest.Config) -> list[str]:
    """The flavours of this run: those asked for, else all."""
    return list(dict.fromkeys(config.getoption("klab_flavour"))) or flavours.names()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if {"flavour", "promise"} <= set(metafunc.fixturenames):
        pairs = [
            (flavour, promise)
            for flavour in chosen(metafunc.config)
            for promise in flavours.load(flavour).promises
        ]
        metafunc.parametrize(("flavour", "promise"), pairs)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    left = [name for name in flavours.names() if name not in chosen(config)]
    if left:
        terminalreporter.section("flavours that this run says nothing about")
        terminalreporter.write_line(f"{', '.join(left)}: make verify-all")
