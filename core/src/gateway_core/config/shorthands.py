"""Single values in the place of a section or a list, and what they probably mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway_core.config.problems import KeyPath
from gateway_core.config.suggestions import quote

_KEYS: Final = {
    "admin": "listen",
    "endpoints": "url",
    "plugins": "name",
    "targets": "target",
    "mirror": "target",
    "respond": "body",
    "sticky_cookie": "name",
    "sources": "url",
}
"""The key that a text stands for, by the section that it stands in the place of."""
_LISTS: Final = frozenset({"endpoints", "error_pages", "plugins", "routes", "targets", "sources", "upstreams"})
_MAPPINGS: Final = {
    "error_pages": "write a list: [{statuses: [404], path: /404.html}]",
    "plugins": "write a list: [{name: ..., config: {...}}]",
    "routes": "write a list: [{id: ..., path_prefix: /, target: ...}]",
    "upstreams": "write a list: [{name: ..., endpoints: [{url: ...}]}]",
    "targets": "write a list: [{target: a, weight: 9}, {target: b, weight: 1}]",
}
"""What is said to a mapping in the place of a list."""
_FORMATS: Final = frozenset({"text", "json"})
_TLS: Final = "write {cert: ..., key: ...} on a listener, and https in the url of an endpoint"


def shorthand_hint(path: KeyPath, value: object) -> str:
    """Return what a value in the place of a section or of a list probably means, or an empty text."""
    section = next((part for part in reversed(path) if isinstance(part, str)), "")
    is_whole_list = section in _LISTS and bool(path) and path[-1] == section
    if isinstance(value, Mapping):
        return _MAPPINGS.get(section, "") if is_whole_list else ""
    if isinstance(value, bool):
        return {"tls": _TLS, "admin": "write {listen: 127.0.0.1:9090}"}.get(section, "")
    if isinstance(value, int):
        return _of_number(section, value)
    return _of_text(section, value, is_whole_list=is_whole_list) if isinstance(value, str) else ""


def _of_number(section: str, value: int) -> str:
    is_port = 0 < value < 65536
    if section == "listen" and is_port:
        return f'write ":{value}" for every interface, or "127.0.0.1:{value}"'
    if section == "admin" and is_port:
        return f"write {{listen: 127.0.0.1:{value}}}"
    return f"write {{attempts: {value}}}" if section == "retries" else ""


def _of_text(section: str, value: str, *, is_whole_list: bool) -> str:
    if section in {"rewrite", "redirect"}:
        if section == "rewrite" and (len(value.split()) > 1 or value.startswith("^")):  # nginx, Caddy
            return "write path_regex: /old/(?P<rest>.*) on the route, and {template: /new/:rest} here"
        if section == "redirect" and "://" in value:
            return "write {scheme: https, host: www.example.com, path: /new}, each where it changes"
        key = "prefix" if section == "rewrite" else "path"
        return f"write {{{key}: {quote(value)}}}" if value.startswith("/") else ""
    if section == "timeouts":
        return f"write {{total: {value}}}"
    if section == "log":
        return f"write {{{'format' if value in _FORMATS else 'level'}: {value}}}"
    if section == "endpoints" and "://" not in value and not value.startswith("unix:"):
        value = f"http://{value}"
    if section not in _KEYS:
        return ""
    written = f"{{{_KEYS[section]}: {quote(value)}}}"
    return f"write [{written}]" if is_whole_list else f"write {written}"
