"""Conditions on requests: of routes, beside their paths, and of bindings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, model_validator

from gateway_core.config.models.base import Section
from gateway_core.config.values import (
    NOT_EMPTY,
    TOKEN,
    InconsistentError,
    InvalidValueError,
    IpNetwork,
    Regex,
    Switch,
)


class ConditionConfig(Section):
    """What a header, a cookie or a parameter must be: exactly one of the five; a text stands for ``value``."""

    value: str | None = None
    """The whole value."""

    regex: Regex | None = None
    """A regular expression that the whole value matches; see [patterns](patterns.md)."""

    present: Switch | None = None
    """``true``: it is there, whatever its value; ``false``: it is not there."""

    one_of: Annotated[tuple[str, ...], NOT_EMPTY] | None = None
    """The whole value is one of these."""

    none_of: Annotated[tuple[str, ...], NOT_EMPTY] | None = None
    """No value is one of these; it holds as well where there is none."""

    @model_validator(mode="after")
    def _check(self) -> ConditionConfig:
        forms = ("value", "regex", "present", "one_of", "none_of")
        given = [name for name in forms if getattr(self, name) is not None]
        if len(given) != 1:
            what = " and ".join(given) + " are given" if given else "nothing is given"
            raise InconsistentError(f"{what}", remedy="give exactly one of value, regex, present, one_of and none_of")
        return self


def _as_condition(value: Any) -> Any:
    if isinstance(value, (int, float)):
        raise InvalidValueError("is not text", remedy="put it in quotes")
    if isinstance(value, list):
        raise InvalidValueError("is no condition", remedy="write {one_of: [...]}")
    return {"value": value} if isinstance(value, str) else value


Condition = Annotated[ConditionConfig, BeforeValidator(_as_condition, json_schema_input_type=str | ConditionConfig)]


class AddressConditionConfig(Section):
    """Where the client's address must be: exactly one of the two; a text stands for ``one_of`` with that network.

    A client without an address, on a unix socket, is in no network.
    """

    one_of: Annotated[tuple[IpNetwork, ...], NOT_EMPTY] | None = None
    """It is in one of these networks."""

    none_of: Annotated[tuple[IpNetwork, ...], NOT_EMPTY] | None = None
    """It is in none of these networks."""

    @model_validator(mode="after")
    def _check(self) -> AddressConditionConfig:
        given = [name for name in ("one_of", "none_of") if getattr(self, name) is not None]
        if len(given) != 1:
            what = "one_of and none_of are given" if given else "nothing is given"
            raise InconsistentError(what, remedy="give exactly one of one_of and none_of")
        return self


def _as_networks(value: Any) -> Any:
    if isinstance(value, list):
        raise InvalidValueError("is no condition", remedy="write {one_of: [...]}")
    if isinstance(value, Mapping) and {"value", "regex", "present"} & value.keys():
        raise InvalidValueError(
            "is compared with networks only", remedy="write a network, {one_of: [...]} or {none_of: [...]}"
        )
    return {"one_of": [value]} if isinstance(value, str) else value


AddressCondition = Annotated[
    AddressConditionConfig, BeforeValidator(_as_networks, json_schema_input_type=str | AddressConditionConfig)
]

Scheme = Literal["http", "https"]


def _check_cookie_name(value: str) -> str:
    if not TOKEN.fullmatch(value):
        raise InvalidValueError("is not the name of a cookie")
    return value


CookieName = Annotated[str, AfterValidator(_check_cookie_name)]
