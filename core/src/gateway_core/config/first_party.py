"""The plugins that this project publishes itself."""

from __future__ import annotations

from typing import Final

FIRST_PARTY: Final = frozenset({"auth", "consul", "etcd", "kubernetes", "logger", "ratelimit"})
"""Plugins and extensions of this repository, each in the distribution ``gateway-plugin-NAME``."""


def install_advice(name: str) -> str:
    """Return the command that installs a plugin, or an empty text.

    Only for plugins of this project: advising it for any name would lead from a typo to a distribution that a stranger
    registered under it.
    """
    return f"pip install gateway-plugin-{name}" if name in FIRST_PARTY else ""
