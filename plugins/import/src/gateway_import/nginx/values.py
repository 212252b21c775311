"""Values of nginx: times, sizes, variables, regular expressions."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

VARIABLE: Final = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_TIME: Final = re.compile(r"(\d+)\s*(ms|[smhdwMy]?)")
_UNITS: Final = {
    "": 1000,
    "ms": 1,
    "s": 1000,
    "m": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "w": 604_800_000,
    "M": 2_592_000_000,
    "y": 31_536_000_000,
}
_SIZE: Final = re.compile(r"(\d+)([kKmMgG]?)")
_FACTORS: Final = {"": "B", "k": "KiB", "m": "MiB", "g": "GiB"}
_SPECIAL: Final = re.compile(r"([\\.^$*+?{}\[\]|()])")
_CLASSES: Final = {
    "alpha": "a-zA-Z",
    "digit": "0-9",
    "alnum": "a-zA-Z0-9",
    "lower": "a-z",
    "upper": "A-Z",
    "xdigit": "0-9a-fA-F",
    "space": r"\s",
    "word": r"\w",
}
_OF_REQUEST: Final = {
    "remote_addr": "{client_ip}",
    "binary_remote_addr": "{client_ip}",
    "realip_remote_addr": "{peer_ip}",
    "scheme": "{scheme}",
    "host": "{host}",
    "http_host": "{host}",
    "request_method": "{method}",
    "uri": "{path}",
    "document_uri": "{path}",
    "args": "{query}",
    "query_string": "{query}",
    "request_id": "{request_id}",
    "remote_user": "{identity}",
    "ssl_protocol": "{tls_version}",
}


def duration(text: str) -> str | None:
    """Return a time of nginx (``60``, ``1m30s``) as a duration; None if it is none."""
    parts = _TIME.findall(text)
    if not parts or "".join(a + b for a, b in parts) != text.replace(" ", ""):
        return None
    total = sum(int(number) * _UNITS[unit] for number, unit in parts)
    return f"{total // 1000}s" if total % 1000 == 0 else f"{total}ms"


def seconds(text: str) -> float:
    """Return a time in seconds, 0 if it is none."""
    found = duration(text)
    return (
        0.0 if found is None else float(found.removesuffix("ms")) / 1000 if found.endswith("ms") else float(found[:-1])
    )


def size(text: str) -> int | str | None:
    """Return a size (``10m``); None if it is none."""
    found = _SIZE.fullmatch(text)
    if found is None:
        return None
    return int(found[1]) if not found[2] or found[1] == "0" else f"{int(found[1])}{_FACTORS[found[2].lower()]}"


def substituted(text: str, values: Mapping[str, str]) -> str:
    """Put the values of variables in their places; others stay."""
    return VARIABLE.sub(lambda found: values.get(found[1] or found[2], found[0]), text)


def variables(text: str) -> list[str]:
    """Return the names of the variables in a text."""
    return [one or other for one, other in VARIABLE.findall(text)]


def template(text: str, known: Callable[[str], str | None] = lambda _: None) -> str | None:
    """Return a text with variables as a template of the plugin ``headers``; None if a variable is not known."""
    made, end = "", 0
    for found in VARIABLE.finditer(text):
        stands_for = known(found[1] or found[2]) or of_request(found[1] or found[2])
        if stands_for is None:
            return None
        made += literal(text[end : found.start()]) + stands_for
        end = found.end()
    return made + literal(text[end:])


def of_request(name: str) -> str | None:
    """Return what stands for a variable in a template."""
    if name in _OF_REQUEST:
        return _OF_REQUEST[name]
    for start, kind in (("http_", "header"), ("cookie_", "cookie"), ("arg_", "query")):
        if name.startswith(start):
            rest = name.removeprefix(start)
            return f"{{{kind}:{rest.replace('_', '-') if kind == 'header' else rest}}}"
    return None


def literal(text: str) -> str:
    """Return a text as a template that stands for it."""
    return text.replace("{", "{{").replace("}", "}}")


def escaped(text: str) -> str:
    """Return a literal text as a regular expression."""
    return _SPECIAL.sub(r"\\\1", text)


def python_regex(pattern: str) -> tuple[str, dict[str, str]] | None:
    """Return a pattern of PCRE as one of Python, with names for all groups, and the names by number and name.

    None if Python has no such pattern.
    """
    pattern = re.sub(r"\[:(\w+):\]", lambda found: _CLASSES.get(found[1], found[0]), pattern)
    groups: dict[str, str] = {}
    made, position, in_class = "", 0, False
    while position < len(pattern):
        here = pattern[position]
        step = 2 if here == "\\" else 1
        text = pattern[position : position + step]
        if here == "[" and not in_class:
            in_class = True
        elif here == "]" and in_class and made[-1:] not in {"[", "^"}:
            in_class = False
        elif here == "(" and not in_class:
            text, step = _group(pattern, position, groups)
        made += text
        position += step
    try:
        re.compile(made)
    except re.error:
        return None
    return made, groups


def _group(pattern: str, position: int, groups: dict[str, str]) -> tuple[str, int]:
    found = re.compile(r"\((?:\?P?<([A-Za-z_]\w*)>|\?'([A-Za-z_]\w*)')?").match(pattern, position)
    assert found is not None
    name = found[1] or found[2]
    if name is None and pattern[position + 1 : position + 2] in {"?", "*"}:
        return "(", 1
    number = str(sum(key.isdigit() for key in groups) + 1)
    groups[number] = name or f"g{number}"
    groups[groups[number]] = groups[number]
    return f"(?P<{groups[number]}>", len(found[0])
