"""Writes ``sdk.md``: which names of the SDK the site documents from their docstrings.

Run it after a change of the SDK's public names: ``python docs/sdk_reference.py``. A test compares.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Final

import gateway_plugin_sdk
import gateway_plugin_sdk.testing

PAGE: Final = Path(__file__).with_name("sdk.md")

INTRODUCTION: Final = """\
# SDK

What plugins import, from its docstrings: on the site, and in editors (this page is made by `python
docs/sdk_reference.py`). The [tutorial](tutorial.md) begins with a plugin; [hooks](hooks.md) lists when which one runs.
"""


def page() -> str:
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield INTRODUCTION
    sdk = gateway_plugin_sdk
    classes = [name for name in sdk.__all__ if inspect.isclass(getattr(sdk, name))]
    errors = [name for name in classes if issubclass(getattr(sdk, name), Exception)]
    functions = [name for name in sdk.__all__ if inspect.isfunction(getattr(sdk, name))]
    others = [name for name in sdk.__all__ if name not in {*classes, *functions}]
    yield from _section("Classes", sdk, [name for name in classes if name not in errors])
    yield from _section("Functions", sdk, functions)
    yield from _section("Errors", sdk, errors)
    yield from _section("Types of fields, and constants", sdk, others)
    yield from _section("The test kit", gateway_plugin_sdk.testing, gateway_plugin_sdk.testing.__all__)


def _section(title: str, module: ModuleType, names: list[str]) -> Iterator[str]:
    yield f"## {title}\n"
    yield "```{eval-rst}"
    for name in sorted(names):
        value = getattr(module, name)
        if inspect.isclass(value):
            yield f".. autoclass:: {module.__name__}.{name}\n   :members:\n"
        elif inspect.isfunction(value):
            yield f".. autofunction:: {module.__name__}.{name}\n"
        else:
            yield f".. autodata:: {module.__name__}.{name}\n   :no-value:\n"
    yield "```\n"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
