"""Which origins are allowed: decided by the text that browsers send (RFC 6454 section 6.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from gateway_plugin_sdk import TextTooLongError

from gateway_plugin_cors.config import ANY, Origin, OriginPattern

LONGEST: Final = 300
"""Characters of an origin at most: a scheme, a host name of 253 and a port."""


def compile_origins(origins: Iterable[Origin | OriginPattern]) -> Callable[[str], bool]:
    """Return a function that says whether an origin is allowed, which never raises."""
    exact = {each for each in origins if isinstance(each, str)}
    if ANY in exact:
        return lambda origin: len(origin) <= LONGEST
    wild = [_wildcard(each) for each in exact if "*" in each]
    patterns = [each.regex for each in origins if isinstance(each, OriginPattern)]

    def allows(origin: str) -> bool:
        if origin in exact:
            return "*" not in origin
        if len(origin) > LONGEST:
            return False
        if any(matches(origin) for matches in wild):
            return True
        try:
            return any(pattern.fullmatch(origin) is not None for pattern in patterns)
        except TextTooLongError:
            return False

    return allows


def _wildcard(origin: str) -> Callable[[str], bool]:
    """Compile ``https://*.example.com``, ``http://localhost:*`` or both at once."""
    scheme, _, host = origin.partition("://")
    start = f"{scheme}://"
    any_port = host.endswith(":*")
    host = host.removesuffix(":*")
    any_subdomain = host.startswith("*.")
    suffix = host[1:] if any_subdomain else host

    def matches(origin: str) -> bool:
        if not origin.startswith(start):
            return False
        rest = origin[len(start) :]
        if any_port:
            name, colon, port = rest.rpartition(":")
            if colon and port.isascii() and port.isdigit():
                rest = name
        if not any_subdomain:
            return rest == suffix
        # What stands for the asterisk is a host name: anything else, such as evil.com/.example.com, is no origin.
        name = rest.removesuffix(suffix)
        return name != rest and bool(name) and all(_is_label(label) for label in name.split("."))

    return matches


def _is_label(label: str) -> bool:
    return label.isascii() and label.replace("-", "a").replace("_", "a").isalnum()
