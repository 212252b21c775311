"""The paths of a document's servers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit


def server_paths(document: Mapping[str, Any]) -> list[list[str]]:
    """Return the segments of the paths of ``servers``, with the defaults of variables: longest first, last none."""
    found: set[tuple[str, ...]] = {()}
    servers = document.get("servers")
    for server in servers if isinstance(servers, list) else ():
        url = server.get("url") if isinstance(server, dict) else None
        if not isinstance(url, str):
            continue
        variables = server.get("variables")
        for name, variable in (variables if isinstance(variables, dict) else {}).items():
            default = variable.get("default") if isinstance(variable, dict) else None
            url = url.replace(f"{{{name}}}", str(default))
        try:
            found.add(tuple(segment for segment in urlsplit(url).path.split("/") if segment))
        except ValueError:
            continue
    return sorted((list(base) for base in found), key=len, reverse=True)
