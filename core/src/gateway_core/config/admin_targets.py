"""Which addresses in a configuration lead back to the admin listener. Pure, apart from symbolic links.

The gateway's own requests come from this machine. So a route to the admin listener would give every client what is
meant for this machine alone: documents that do not come from it may have none.
"""

from __future__ import annotations

import socket
from collections.abc import Collection, Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from gateway_core.config.address import UNIX, parse_listen
from gateway_core.config.problems import KeyPath


def urls_at(value: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, str]]:
    """Yield every address that requests may be sent to, with its key path; those in configurations of plugins included.

    A host beside a port, as discoveries have them, counts as well.
    """
    if isinstance(value, Mapping):
        if isinstance(value.get("host"), str) and isinstance(value.get("port"), int):
            host = value["host"]
            yield (*path, "host"), f"http://{f'[{host}]' if ':' in host else host}:{value['port'] or 80}"
        for key, each in value.items():
            yield from urls_at(each, (*path, key))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from urls_at(each, (*path, index))
    elif isinstance(value, str) and (value.startswith(UNIX) or "://" in value):
        yield path, value


_LOCAL_NAMES: Final = frozenset({"localhost", "localhost.localdomain", "localhost6", "ip6-localhost", "ip6-loopback"})


def leads_to(url: str, addresses: Collection[str], control: Path | None = None) -> bool:
    """Whether requests to a URL come to one of these listeners, or to the sockets beside a control socket.

    Hosts are not resolved: ``localhost``, loopback and wildcard addresses are those of this machine, in every form that
    an address can be written in.
    """
    if url.startswith("unix:"):
        path = Path(url.removeprefix("unix:")).resolve()
        sockets = {Path(each.removeprefix("unix:")).resolve() for each in addresses if each.startswith("unix:")}
        return path in sockets or (control is not None and path.is_relative_to(control.parent.resolve()))
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme in {"https", "wss"} else 80)
    except ValueError:
        return False
    for each in addresses:
        if not each.startswith("unix:"):
            listen = parse_listen(each)
            if port == listen.port and (
                _is_here(host) or _form_of(host) == _form_of(listen.host or "") or _is_wildcard(listen.host)
            ):
                return True
    return False


def _is_here(host: str) -> bool:
    form = _form_of(host)
    if isinstance(form, str):
        return form in _LOCAL_NAMES or form.endswith(".localhost")
    return form.is_loopback or form.is_unspecified


def _form_of(host: str) -> IPv4Address | IPv6Address | str:
    """Return the address that a host is, else its name, so that two forms of one are equal."""
    text = host.lower().partition("%")[0]
    try:
        found = ip_address(text)
    except ValueError:
        pass
    else:
        return (found.ipv4_mapped if isinstance(found, IPv6Address) else None) or found
    try:
        # As resolvers read it: "127.1", "0x7f000001", "2130706433", "0".
        return IPv4Address(socket.inet_aton(text))
    except (OSError, ValueError):
        return text.removesuffix(".")


def _is_wildcard(host: str | None) -> bool:
    return not host or host in {"0.0.0.0", "::"}  # noqa: S104 - compared only
