"""The options of the plugin."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self

from gateway_plugin_sdk import ConfigModel, Size
from pydantic import AfterValidator, Field, model_validator

from gateway_plugin_transform.budget import Budget
from gateway_plugin_transform.pointers import read_pointer
from gateway_plugin_transform.templates import compile_expression, compile_template

LARGEST_BODY: Final = 1024 * 1024
MOST_OPERATIONS: Final = 1_000_000
SHORT_BODY: Final = 32 * 1024
SHORT_OPERATIONS: Final = 4000
"""A body within both takes less than 10 ms, whatever is in it (`benchmarks/transformation.py`)."""


def _pointer(text: str) -> str:
    read_pointer(text)
    return text


def _single_pointer(text: str) -> str:
    if "*" in read_pointer(text):
        raise ValueError(f"{text[:80]!r} has *: name one place")
    return text


def _expression(text: str) -> str:
    compile_expression(text, Budget(0))
    return text


Pointer = Annotated[str, AfterValidator(_pointer)]
SinglePointer = Annotated[str, AfterValidator(_single_pointer)]
Expression = Annotated[str, AfterValidator(_expression)]


class ChangeConfig(ConfigModel):
    """Changes of a body, which apply in this order."""

    jmespath: Expression | None = None
    """A JMESPath expression; what it finds in the body becomes the body."""

    template: Any = None
    """A value that becomes the body; ``{{ user.name }}`` in its texts is what this JMESPath expression finds."""

    rename: dict[SinglePointer, SinglePointer] = {}
    """Places, as JSON pointers, and where what is there goes."""

    remove: tuple[Pointer, ...] = ()
    """Places that are removed; ``*`` is every item or member: ``/users/*/password``."""

    default: dict[Pointer, Any] = {}
    """Values for places where nothing is."""

    set: dict[Pointer, Any] = {}
    """Values for places. Objects on the way are made; ``-`` appends to a list."""

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        compile_template(self.template, Budget(0))
        return self


class RequestConfig(ChangeConfig):
    """What becomes of bodies of requests."""

    from_form: bool = False
    """Whether forms, ``application/x-www-form-urlencoded``, become objects first. A field that is there twice becomes a
    list."""

    other_types: Literal["refuse", "pass"] = "refuse"
    """Whether a body that is no JSON by its Content-Type, or is compressed, gets 415 or goes on as it is."""


class ResponseConfig(ChangeConfig):
    """What becomes of bodies of the upstream's responses; those that are no JSON by their Content-Type stay."""

    statuses: tuple[Annotated[int, Field(ge=200, le=599)], ...] = ()
    """Only responses with one of these; all with 2xx unless given."""


class TransformConfig(ConfigModel):
    """Changes of JSON bodies."""

    request: RequestConfig | None = None
    """Changes of what clients send."""

    response: ResponseConfig | None = None
    """Changes of what the upstream sends."""

    max_body_bytes: Annotated[Size, Field(gt=0, le=LARGEST_BODY)] = SHORT_BODY
    """The largest body, or line of JSON lines, that is changed. A larger one is 413 in a request, 502 in a response.
    While a body is changed the worker does nothing else: for less than 10 ms up to 32 KiB."""

    max_operations: Annotated[int, Field(gt=0, le=MOST_OPERATIONS)] = SHORT_OPERATIONS
    """Operations that one body, or line, may take: one for each item and member that ``*`` stands for, and one for each
    part of a JMESPath expression and each value that it is evaluated for. A body that takes more is 413 in a request,
    502 in a response."""

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if self.request is None and self.response is None:
            raise ValueError("changes nothing: write request or response")
        return self
