# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a kernel dropped a symbol: asked of Kconfig itself, inside the build root.

A program of its own (`explain.py SRCTREE CONFIG REQUEST…`, a request is NAME=VALUE):
it runs where the tree's compiler is, and needs nothing but kconfiglib. It prints a
JSON object, symbol name to reasons: text, and whether another toolchain would mend it.
"""

from __future__ import annotations

import difflib
import json
import os
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import kconfiglib

SHOWN = 3  # unmet conditions that one answer names
# Symbols that hold a tool's version: the tool, and the factors of its parts (init/Kconfig).
TOOLS = {
    "GCC_VERSION": ("gcc", (10000, 100)),
    "CLANG_VERSION": ("clang", (10000, 100)),
    "AS_VERSION": ("as", (10000, 100)),
    "LD_VERSION": ("ld", (10000, 100)),
    "LLD_VERSION": ("ld.lld", (10000, 100)),
    "RUSTC_VERSION": ("rustc", (100000, 100)),
    "PAHOLE_VERSION": ("pahole", (100,)),
}


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


def compiler(tree: Any) -> str:
    """The compiler that the tree was configured for, with its version."""
    for name in ("gcc", "clang"):
        known = tree.syms.get(f"{name.upper()}_VERSION")
        if known is not None and int(known.str_value or 0):
            return f"{name} {_version(known.name, int(known.str_value))}"
    return "this compiler"


def _version(symbol: str, number: int) -> str:
    """A tool's version from the number that Kconfig makes of it: 140200 is 14.2.0."""
    parts = []
    for step in TOOLS[symbol][1]:
        parts.append(number // step)
        number %= step
    return ".".join(str(part) for part in [*parts, number])


def _relation(expression: Any) -> str:
    """What a comparison with a tool's version asks for, in words; "" for any other."""
    if expression[0] not in {kconfiglib.GREATER_EQUAL, kconfiglib.GREATER}:
        return ""
    tool, least = expression[1], expression[2]
    if tool.name not in TOOLS or not least.str_value.isdigit():
        return ""
    name, have = TOOLS[tool.name][0], int(tool.str_value or 0)
    newer = "or newer" if expression[0] is kconfiglib.GREATER_EQUAL else "outdone"
    seen = f"this one is {_version(tool.name, have)}" if have else "there is none here"
    return f"{name} {_version(tool.name, int(least.str_value))} {newer}: {seen}"


@dataclass(frozen=True)
class Reason:
    """Why a symbol was lost; tool: whether another toolchain would mend it."""

    text: str
    tool: bool = False


def _probed(symbol: Any, enough: int) -> Reason | None:
    """Why a symbol that nobody can set is off, when the tools are the cause."""
    if symbol.is_constant:  # $(cc-option,…) and its like were replaced by their answers
        return Reason(f"a probe of the tools, which says no ({compiler(symbol.kconfig)})", tool=True)
    if symbol.name in {"CC_IS_CLANG", "CC_IS_GCC"}:
        wanted = symbol.name.removeprefix("CC_IS_").lower()
        return Reason(f"the compiler {wanted}: this one is {compiler(symbol.kconfig)}", tool=True)
    if any(node.prompt for node in symbol.nodes) or symbol.rev_dep is not symbol.kconfig.n:
        return None
    below = [symbol.direct_dep, *(given for given, _ in symbol.defaults)]
    found = [reason for expression in below for reason in unmet(expression, enough) if reason.tool]
    return Reason(f"{symbol.name}, that is {found[0].text}", tool=True) if found else None


def unmet(expression: Any, enough: int) -> list[Reason]:
    """The conditions within a dependency that hold it below `enough` (1: m, 2: y)."""
    if kconfiglib.expr_value(expression) >= enough:
        return []
    if isinstance(expression, tuple) and expression[0] is kconfiglib.AND:
        return unmet(expression[1], enough) + unmet(expression[2], enough)
    text = kconfiglib.expr_str(expression)
    if isinstance(expression, tuple):
        if words := _relation(expression):
            return [Reason(words, tool=True)]
        names = {item.name: item.str_value for item in kconfiglib.expr_items(expression) if item.name}
        values = ", ".join(f"{name} is {value}" for name, value in sorted(names.items())[:4])
        return [Reason(f"{text} ({values})")]
    return [_probed(expression, enough) or Reason(f"{text} (is {expression.str_value})")]


def explain(tree: Any, name: str, value: str) -> list[Reason]:
    """The reasons why `name` did not become `value` in the loaded configuration."""
    symbol = tree.syms.get(name)
    if symbol is None or not symbol.nodes:
        known = [key for key, sym in tree.syms.items() if sym.nodes]
        near = difflib.get_close_matches(name, known, n=2)
        return [Reason("this tree has no such symbol" + (f"; near: {', '.join(near)}" if near else ""))]
    selecting = [kconfiglib.expr_str(expr) for expr in selectors(symbol)]
    if value == "n":
        held = [Reason(f"selected by {item}") for item in selecting]
        return held or [Reason("is on by default and cannot be set here")]
    by = f", selected by {', '.join(selecting)}" if selecting else ""
    return _reasons(symbol, value) or [Reason(f"became {symbol.str_value}{by}")]


def _reasons(symbol: Any, value: str) -> list[Reason]:
    """What keeps a symbol from a value, the most telling reason first."""
    enough = 2 if symbol.orig_type is kconfiglib.TRISTATE and value == "y" else 1
    if reasons := unmet(symbol.direct_dep, enough):
        reasons.sort(key=lambda reason: not reason.tool)
        return [replace(reason, text=f"needs {reason.text}") for reason in reasons[:SHOWN]]
    if not any(node.prompt for node in symbol.nodes):
        return [Reason("has no prompt: it is set only when another symbol selects it")]
    if symbol.choice:
        chosen = symbol.choice.selection
        return [Reason(f"is one of a choice in which {chosen.name if chosen else 'none'} is set")]
    if symbol.orig_type is kconfiglib.BOOL and value == "m":
        return [Reason("is a bool: it can be y, not m")]
    hidden = [reason for node in symbol.nodes if node.prompt for reason in unmet(node.prompt[1], enough)]
    return [replace(reason, text=f"is offered only if {reason.text}") for reason in hidden[:SHOWN]]


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
        answers[name] = [asdict(reason) for reason in explain(tree, name, value)]
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
