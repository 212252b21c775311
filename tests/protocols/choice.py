"""Which protocols a test is run over."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from copy import deepcopy
from dataclasses import dataclass
from textwrap import dedent
from typing import Any

import pytest
import yaml


@dataclass(frozen=True)
class Protocols:
    """What the client speaks to the gateway, and what the gateway speaks to its upstreams."""

    downstream: str
    upstream: str

    def __str__(self) -> str:
        return self.downstream if self.downstream == self.upstream else f"{self.downstream}-{self.upstream}"

    @property
    def version(self) -> str:
        """What `Request.version` is."""
        return {"http1": "1.1", "http2": "2"}[self.downstream]


HTTP1 = Protocols("http1", "http1")
HTTP2 = Protocols("http2", "http2")
MIXED = (Protocols("http2", "http1"), Protocols("http1", "http2"))


def parametrize_protocols(metafunc: pytest.Metafunc) -> None:
    """Run a test whose fixtures use ``protocols`` over HTTP/1 and over HTTP/2, as its markers say.

    ``one_protocol``: it is about the wire of one. ``in_turn``: one run, in which every second connection is of HTTP/2.
    ``mixed_protocols``: HTTP/2 on one side too. ``http1_upstream``: the gateway speaks HTTP/1 to upstreams in any case.
    """
    marked = metafunc.definition.get_closest_marker
    speaks_http2_itself = metafunc.module.__name__.rpartition(".")[2].startswith(("test_http2", "test_grpc"))
    if "protocols" not in metafunc.fixturenames or marked("one_protocol") or marked("in_turn") or speaks_http2_itself:
        return
    chosen = [HTTP1, MIXED[0] if marked("http1_upstream") else HTTP2, *(MIXED if marked("mixed_protocols") else ())]
    # One interpreter is enough for the repetitions.
    values = [pytest.param(each, id=str(each), marks=[pytest.mark.slow] if each != HTTP1 else []) for each in chosen]
    metafunc.parametrize("protocols", values)


@pytest.fixture
def protocols() -> Protocols:
    """What a test is run over; see `parametrize_protocols`."""
    return HTTP1


class _Loader(yaml.SafeLoader):
    """Reads ``on`` as a word, as the gateway does."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag != "tag:yaml.org,2002:bool" or first in "tTfF"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def with_http2_upstreams(config: str | Mapping[str, Any], ports: Collection[int]) -> dict[str, Any]:
    """Return a configuration whose upstreams are spoken to over HTTP/2.

    :param ports: of the endpoints that take it; upstreams that have others stay as they are.
    """
    document: dict[str, Any] = read_yaml(config) if isinstance(config, str) else deepcopy(dict(config))
    added: dict[str, dict[str, Any]] = {}
    _name_targets(document, ports, added)
    document["upstreams"] = [*document.get("upstreams", ()), *added.values()]
    for upstream in document["upstreams"]:
        endpoints = upstream.get("endpoints", ())
        if endpoints and all(_port(each) in ports for each in endpoints):
            upstream.setdefault("protocol", "http2")
    return document


def read_yaml(text: str) -> dict[str, Any]:
    """Return what a configuration says."""
    document: dict[str, Any] = yaml.load(dedent(text), _Loader)
    return document


def _name_targets(part: Any, ports: Collection[int], added: dict[str, dict[str, Any]]) -> None:
    """Put the name of an upstream in the place of each URL that is a target."""
    if isinstance(part, list):
        for each in part:
            _name_targets(each, ports, added)
    elif isinstance(part, dict):
        for key, value in part.items():
            if key == "target" and isinstance(value, str) and _port(value) in ports:
                name = f"over-http2-{_port(value)}"
                added[value] = {"name": name, "endpoints": [{"url": value}]}
                part[key] = name
            elif key != "endpoints":
                _name_targets(value, ports, added)


def _port(endpoint: Any) -> int:
    url = str(endpoint.get("url", "")) if isinstance(endpoint, dict) else str(endpoint)
    port = url.removeprefix("http://").rstrip("/").rpartition(":")[2]
    return int(port) if url.startswith("http://") and port.isdigit() else 0
