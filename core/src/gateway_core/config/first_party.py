"""The plugins that this project publishes itself."""

from __future__ import annotations

from typing import Final

FIRST_PARTY: Final = frozenset({"auth", "consul", "etcd", "kubernetes", "logger", "ratelimit"})
"""Plugins and extensions of this repository, each in the distribution ``gateway-plugin-NAME``."""


def install_advice(name: str) -> str:
    """Return the command that installs a plugin, or an empty text.

    Only for names that are ours: to advise it for whatever a configuration names would send a typo to whoever has
    registered a distribution for it.
    """
    return f"pip install gateway-plugin-{name}" if name in FIRST_PARTY else ""
