"""How the options of the plugin are written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from gateway_plugin_ratelimit.conditions import compile_condition
from gateway_plugin_ratelimit.costs import compile_cost
from gateway_plugin_ratelimit.keys import PLAIN_SOURCES, SOURCE_PATTERN, compile_source

COST_PATTERN = r"^(content-length|(header|query|response-header):.+)$"

_SOURCE_SCHEMA: Final = {
    "type": "string",
    "pattern": SOURCE_PATTERN,
    "x-expected": "a property of requests",
    "x-remedy": f"use {', '.join(PLAIN_SOURCES)}, or header:NAME, cookie:NAME, query:NAME, param:NAME or claim:NAME",
}


def _existing(source: str) -> str:
    compile_source(source)
    return source


Source = Annotated[str, Field(pattern=SOURCE_PATTERN), AfterValidator(_existing), WithJsonSchema(_SOURCE_SCHEMA)]
"""A property of a request: client_ip, peer_ip, route, identity, method, host, path, constant, header:NAME,
cookie:NAME, query:NAME, param:NAME or claim:NAME."""


def _listed(value: Any) -> Any:
    """Take one item for a list of one."""
    return (value,) if isinstance(value, str) else value


def _one_or_several(item: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [item, {"type": "array", "items": item, "minItems": 1}]}


Sources = Annotated[
    tuple[Source, ...],
    BeforeValidator(_listed),
    Field(min_length=1),
    WithJsonSchema(_one_or_several(_SOURCE_SCHEMA)),
]
"""One source or a list of them."""

Texts = Annotated[
    tuple[str, ...],
    BeforeValidator(_listed),
    Field(min_length=1),
    WithJsonSchema(_one_or_several({"type": "string"})),
]
"""One text or a list of them."""


def _checked(when: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
    compile_condition(when)
    return when


Condition = Annotated[Mapping[Source, Texts], Field(min_length=1), AfterValidator(_checked)]
"""Values by source; all must fit. A list is any of its values, ``*`` is any value; addresses may be networks."""

_COST_SCHEMA: Final = {
    "type": "string",
    "pattern": COST_PATTERN,
    "x-expected": "a cost",
    "x-remedy": "use a number, header:NAME, query:NAME, content-length or response-header:NAME",
}


def _readable(cost: str) -> str:
    compile_cost(cost)
    return cost


Cost = (
    Annotated[int, Field(ge=0, strict=True)]
    | Annotated[str, Field(pattern=COST_PATTERN), AfterValidator(_readable), WithJsonSchema(_COST_SCHEMA)]
)
"""Units that a request costs."""
