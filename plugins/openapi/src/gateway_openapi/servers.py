"""The paths of a document's servers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit


def server_paths(document: Mapping[str, Any]) -> list[list[str]]:
    """Return the segments of the paths of ``servers``, with the defaults of variables: longest first, last none.

    Those of single paths and operations count as well, for every path.
    """
    found: set[tuple[str, ...]] = {()}
    for server in _servers(document):
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


def _servers(document: Mapping[str, Any]) -> Iterator[Any]:
    paths = document.get("paths")
    items = [each for each in paths.values() if isinstance(each, dict)] if isinstance(paths, dict) else []
    operations = [each for item in items for each in item.values() if isinstance(each, dict)]
    for level in (document, *items, *operations):
        servers = level.get("servers")
        yield from servers if isinstance(servers, list) else ()
