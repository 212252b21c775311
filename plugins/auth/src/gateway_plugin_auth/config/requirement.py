"""Configuration of which providers a request must satisfy: a tree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, TypeAlias

from gateway_plugin_sdk import ConfigModel
from pydantic import Discriminator, Field, Tag


class AnyOf(ConfigModel):
    """One of several requirements; the first that is met counts."""

    any: tuple[Requirement, ...] = Field(min_length=1)
    """Requirements, in order."""


class AllOf(ConfigModel):
    """All of several requirements; the first names the caller."""

    all: tuple[Requirement, ...] = Field(min_length=1)
    """Requirements, in order."""


class OptionalOf(ConfigModel):
    """A requirement that a request without credentials passes, too; wrong credentials are still refused."""

    optional: Requirement
    """The requirement."""


class AttemptOf(ConfigModel):
    """A requirement that every request passes: the caller is named if it can be, and nobody is refused."""

    attempt: Requirement
    """The requirement."""


def _kind(value: Any) -> str:
    if isinstance(value, str):
        return "name"
    keys = value.keys() if isinstance(value, Mapping) else getattr(type(value), "model_fields", ())
    return next((key for key in ("any", "all", "optional", "attempt") if key in keys), "name")


Requirement: TypeAlias = Annotated[
    Annotated[str, Tag("name")]
    | Annotated[AnyOf, Tag("any")]
    | Annotated[AllOf, Tag("all")]
    | Annotated[OptionalOf, Tag("optional")]
    | Annotated[AttemptOf, Tag("attempt")],
    Discriminator(_kind),
]
"""A provider's name, or a mapping with one of ``any``, ``all``, ``optional`` and ``attempt``."""

for _model in (AnyOf, AllOf, OptionalOf, AttemptOf):
    _model.model_rebuild()


def names_in(requirement: Requirement) -> Iterator[str]:
    """Yield the names of the providers in a tree, in order."""
    match requirement:
        case str():
            yield requirement
        case AnyOf():
            for part in requirement.any:
                yield from names_in(part)
        case AllOf():
            for part in requirement.all:
                yield from names_in(part)
        case OptionalOf():
            yield from names_in(requirement.optional)
        case AttemptOf():
            yield from names_in(requirement.attempt)


def lets_strangers_in(requirement: Requirement) -> bool:
    """Say whether a request that presents nothing passes a tree."""
    match requirement:
        case AnyOf():
            return any(lets_strangers_in(part) for part in requirement.any)
        case AllOf():
            return all(lets_strangers_in(part) for part in requirement.all)
        case OptionalOf() | AttemptOf():
            return True
        case _:
            return False
