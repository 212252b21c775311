"""The options of a binding."""

from __future__ import annotations

from collections import Counter
from difflib import get_close_matches
from typing import Literal

from gateway_plugin_sdk import ConfigModel, Duration, OutputFileOrStdout
from pydantic import Field, field_validator, model_validator

from gateway_plugin_logger.config.bodies import BodyOptions
from gateway_plugin_logger.config.conditions import Conditions, Sampling
from gateway_plugin_logger.config.names import FieldName, Template
from gateway_plugin_logger.config.redaction import Redaction
from gateway_plugin_logger.config.sinks import FileSink, HttpSink, OtlpSink, SinkConfig, StdoutSink
from gateway_plugin_logger.fields import DEFAULT_FIELDS
from gateway_plugin_logger.formats.build import NAMED_TEMPLATES, STRUCTURED, check_template
from gateway_plugin_logger.formats.template import Placeholder, parse_template


class LoggerConfig(ConfigModel):
    """What is logged of which requests, in what form, and where it goes."""

    format: str = "json"
    """``json``, ``logfmt``, ``combined``, ``common``, or a template such as ``{client_ip} {path} {status}``."""
    path: OutputFileOrStdout | None = None
    """A file, or ``-`` for standard output: short for one sink. Standard output if there are no ``sinks``."""
    sinks: tuple[SinkConfig, ...] = Field(default=(), max_length=16)
    """Where lines go; each sink gets every line."""
    fields: tuple[FieldName, ...] = DEFAULT_FIELDS
    """What a structured line says, in this order."""
    add: dict[str, Template] = {}
    """Further members of a structured line: by name a template; one field alone keeps its type."""
    drop: tuple[FieldName, ...] = ()
    """Fields to leave out."""
    missing: Literal["omit", "null"] = "omit"
    """Whether JSON leaves out a field that a request has no value for, or says ``null``."""
    placeholder: str = Field(default="-", pattern=r"^[ -~]*$")
    """What stands in a line of text for a field without a value."""
    skip: Conditions = Conditions()
    """Requests that get no line."""
    only: Conditions = Conditions()
    """If there are any conditions: requests that get a line; all others get none."""
    sample: Sampling = Sampling()
    """Which share of the remaining requests gets a line."""
    request_body: BodyOptions = BodyOptions()
    """What the field ``request_body`` says, if it is named."""
    response_body: BodyOptions = BodyOptions()
    """What the field ``response_body`` says, if it is named."""
    redact: Redaction = Redaction()
    """What lines do not say; credentials are hidden unless shown here."""
    stop_timeout: Duration = Field(default=5.0, ge=0)
    """How long a stop waits until the last lines are out."""

    @field_validator("format")
    @classmethod
    def _check_format(cls, text: str) -> str:
        names = [*sorted(STRUCTURED), *NAMED_TEMPLATES]
        if text in names:
            return text
        if "{" not in text:
            near = get_close_matches(text, names, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"{text!r} is no format: use {', '.join(names)} or a template with {{field}}{hint}")
        return check_template(text)

    @model_validator(mode="after")
    def _check_combination(self) -> LoggerConfig:
        if self.path is not None and self.sinks:
            raise ValueError("path is short for one sink: give path or sinks, not both")
        names = Counter([name for name in self.fields if name not in self.drop] + list(self.add))
        twice = [name for name, times in names.items() if times > 1]
        if twice:
            raise ValueError(f"{twice[0]!r} would be twice in a line: drop the field, or add it under another name")
        if self.format != "json" and any(isinstance(sink, HttpSink) and sink.body == "array" for sink in self.sinks):
            raise ValueError("body: array needs format: json, since it is an array of JSON objects")
        return self

    @property
    def line_fields(self) -> tuple[str, ...]:
        """The fields that a structured line says."""
        return tuple(name for name in self.fields if name not in self.drop)

    @property
    def names(self) -> frozenset[str]:
        """The fields that lines name in any of their forms, those of ``add`` and of templates included."""
        bodies = [sink.body for sink in self.destinations if isinstance(sink, OtlpSink)]
        is_structured = self.format in STRUCTURED
        templates = [*self.add.values(), *bodies] if is_structured or bodies else []
        if not is_structured:
            templates.append(self.format)
        named = set(self.line_fields) if is_structured or bodies else set()
        for template in templates:
            named.update(part.field for part in parse_template(template) if isinstance(part, Placeholder))
        return frozenset(named)

    @property
    def destinations(self) -> tuple[SinkConfig, ...]:
        """The sinks, whichever way they were written."""
        if self.sinks:
            return self.sinks
        if self.path is None or self.path == "-":
            return (StdoutSink(type="stdout"),)
        return (FileSink(type="file", path=self.path),)
