# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a kernel dropped a symbol: asked of Kconfig itself, inside the build root.

A program of its own (`explain.py SRCTREE CONFIG REQUEST…`, a request is NAME=VALUE):
it runs where the tree's compiler is, and needs nothing but kconfiglib. It prints a
JSON object, symbol name to reasons.
"""

from __future__ import annotations

import difflib
import json
import os
import sys
from pathlib import Path
from typing import Any

import kconfiglib

SHOWN = 3  # unmet conditions that one answer names


def _environment(srctree: Path) -> None:
    """What the top Makefile exports before it reads Kconfig."""
    version = dict(
        line.partition(" = ")[::2]
        for line in (srctree / "Makefile").read_text().splitlines()[:12]
        if " = " in line
    )
    number = ".".join(version.get(key, "0") for key in ("VERSION", "PATCHLEVEL", "SUBLEVEL"))
    llvm = "LLVM" in os.environ
    defaults = {
        "srctree": str(srctree),
        "ARCH": "x86",
        "SRCARCH": "x86",
        "KERNELVERSION": number,
        "CC": "clang" if llvm else "gcc",
        "LD": "ld.lld" if llvm else "ld",
        "HOSTCC": "clang" if llvm else "gcc",
        "HOSTCXX": "clang++" if llvm else "g++",
        "NM": "llvm-nm" if llvm else "nm",
        "OBJCOPY": "llvm-objcopy" if llvm else "objcopy",
        "PAHOLE": "pahole",
        "RUSTC": "rustc",
        "BINDGEN": "bindgen",
        "CLANG_FLAGS": "",
        "RUSTC_BOOTSTRAP": "1",
    }
    for key, value in defaults.items():
        os.environ.setdefault(key, value)


class Tree(kconfiglib.Kconfig):  # type: ignore[misc]
    """Kconfig of kernels since 5.15, whose `modules` kconfiglib knows as `option modules`."""

    def _tokenize(self, s: str) -> Any:
        return super()._tokenize("option modules" if s.strip() == "modules" else s)


def unmet(expression: Any, enough: int) -> list[str]:
    """The conditions within a dependency that hold it below `enough` (1: m, 2: y)."""
    if kconfiglib.expr_value(expression) >= enough:
        return []
    if isinstance(expression, tuple) and expression[0] is kconfiglib.AND:
        return unmet(expression[1], enough) + unmet(expression[2], enough)
    text = kconfiglib.expr_str(expression)
    if isinstance(expression, tuple):
        names = {item.name: item.str_value for item in kconfiglib.expr_items(expression) if item.name}
        values = ", ".join(f"{name} is {value}" for name, value in sorted(names.items())[:4])
        return [f"{text} ({values})"]
    return [f"{text} (is {expression.str_value})"]


def explain(tree: Any, name: str, value: str) -> list[str]:
    """The reasons why `name` did not become `value` in the loaded configuration."""
    symbol = tree.syms.get(name)
    if symbol is None or not symbol.nodes:
        known = [key for key, sym in tree.syms.items() if sym.nodes]
        near = difflib.get_close_matches(name, known, n=2)
        return ["this tree has no such symbol" + (f"; near: {', '.join(near)}" if near else "")]
    selecting = [kconfiglib.expr_str(expr) for expr in selectors(symbol)]
    if value == "n":
        return [f"selected by {item}" for item in selecting] or ["is on by default and cannot be set here"]
    return _reasons(symbol, value) or [
        f"became {symbol.str_value}" + (f", selected by {', '.join(selecting)}" if selecting else "")
    ]


def _reasons(symbol: Any, value: str) -> list[str]:
    """What keeps a symbol from a value, the most telling reason first."""
    enough = 2 if symbol.orig_type is kconfiglib.TRISTATE and value == "y" else 1
    if reasons := unmet(symbol.direct_dep, enough):
        return ["needs " + reason for reason in reasons[:SHOWN]]
    if not any(node.prompt for node in symbol.nodes):
        return ["has no prompt: it is set only when another symbol selects it"]
    if symbol.choice:
        chosen = symbol.choice.selection
        return [f"is one of a choice in which {chosen.name if chosen else 'none'} is set"]
    if symbol.orig_type is kconfiglib.BOOL and value == "m":
        return ["is a bool: it can be y, not m"]
    hidden = [reason for node in symbol.nodes if node.prompt for reason in unmet(node.prompt[1], enough)]
    return ["is offered only if " + reason for reason in hidden[:SHOWN]]


def selectors(symbol: Any) -> list[Any]:
    """The selects that hold a symbol up."""
    if symbol.rev_dep is symbol.kconfig.n:
        return []
    return [
        item[1] if isinstance(item, tuple) and item[0] is kconfiglib.AND else item
        for item in kconfiglib.split_expr(symbol.rev_dep, kconfiglib.OR)
        if kconfiglib.expr_value(item)
    ]


def main() -> None:
    """Load the tree and the configuration, and answer for each request."""
    srctree, config, *requests = sys.argv[1:]
    _environment(Path(srctree))
    os.chdir(srctree)
    tree = Tree("Kconfig", warn=False)
    tree.load_config(config)
    answers = {}
    for request in requests:
        name, _, value = request.partition("=")
        answers[name] = explain(tree, name, value)
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
