"""The options of the plugin."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self

from gateway_plugin_sdk import ConfigFile, ConfigModel, Size
from pydantic import Field, model_validator

LARGEST_BODY: Final = 1024 * 1024
SHORT_PAUSE: Final = 64 * 1024
"""Bytes of a body that is read and compared in less than 10 ms, whatever is in it (`benchmarks/validation.py`)."""

_WITHOUT: Final = ("body_schema", "body_schema_file", "parameters")


class ValidateConfig(ConfigModel):
    """What requests and responses must be: as an OpenAPI document has it, or as is written here."""

    openapi: ConfigFile | None = None
    """An OpenAPI document of version 3.0 or 3.1, in JSON, or YAML up to 4 MiB. It is watched."""

    files: tuple[ConfigFile, ...] = ()
    """Files that the document or the schema refers to, which are watched, too. Others below its folder are read, but a
    change of them counts from the next reload on."""

    body_schema: dict[str, Any] | bool | None = None
    """A JSON Schema for bodies; its ``$ref`` stay within it."""

    body_schema_file: ConfigFile | None = None
    """The same as a file, in JSON or YAML; ``$ref`` may name other files below its folder. It is watched."""

    parameters: tuple[dict[str, Any], ...] = ()
    """Parameters as OpenAPI writes them: ``{name: limit, in: query, schema: {type: integer}}``. Those in ``path`` are
    what the route captures."""

    content_types: Annotated[tuple[str, ...], Field(min_length=1)] = ("application/json",)
    """Media types of bodies, where there is no document."""

    body_required: bool = True
    """Whether requests must have a body, where there is no document but a schema."""

    max_body_bytes: Annotated[Size, Field(gt=0, le=LARGEST_BODY)] = SHORT_PAUSE
    """The largest body that is read; a larger one gets 413. While a body is validated the worker does nothing else: for
    less than 10 ms up to 64 KiB."""

    unknown_operations: Literal["refuse", "pass"] = "refuse"
    """Whether requests for what the document has not get 404 or 405."""

    unknown_query: Literal["refuse", "pass"] = "pass"
    """Whether a parameter of the query that is not declared is an error."""

    read_only: Literal["refuse", "pass"] = "refuse"
    """Whether a property that is ``readOnly`` is an error in a request. It is never required there."""

    responses: Literal["off", "shadow", "enforce"] = "off"
    """Whether responses are validated: ``shadow`` logs and counts those that do not match, ``enforce`` sends 502 in
    their place."""

    status: Annotated[int, Field(ge=400, le=499)] = 400
    """The status for a request that does not match."""

    @model_validator(mode="after")
    def _validates_one_thing(self) -> Self:
        given = [name for name in _WITHOUT if getattr(self, name) not in (None, ())]
        if self.openapi is not None and given:
            raise ValueError(f"{given[0]} and openapi exclude each other: write it into the document")
        if self.openapi is None and not given:
            raise ValueError("validates nothing: name a document in openapi, or write body_schema or parameters")
        if self.body_schema is not None and self.body_schema_file is not None:
            raise ValueError("body_schema and body_schema_file exclude each other: leave one of them out")
        if self.openapi is None and self.responses != "off":
            raise ValueError("responses needs a document: name one in openapi")
        return self
