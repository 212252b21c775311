"""From the names of fields to a function that writes a line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from gateway_plugin_sdk import Record, Request, Response

from gateway_plugin_logger.fields import FIELDS, FieldNameError, Kind, Value, find_value
from gateway_plugin_logger.fields.readers import (
    otel_method,
    server_address,
    server_port,
    trace_flags,
)
from gateway_plugin_logger.fields.value import fresh_name
from gateway_plugin_logger.formats import styles
from gateway_plugin_logger.formats.compiler import Piece, Renderer, compile_line
from gateway_plugin_logger.formats.escape import quote_json
from gateway_plugin_logger.formats.template import Placeholder, TemplateError, parse_template

Find = Callable[[str], Value | None]
"""Returns the value of a field; None if it must not be logged."""

COMMON: Final = '{client_ip} - {identity} [{time_clf}] "{method} {target} HTTP/{http_version}" {status} {bytes_sent}'
COMBINED: Final = COMMON + ' "{referer}" "{user_agent}"'
NAMED_TEMPLATES: Final[Mapping[str, str]] = {"common": COMMON, "combined": COMBINED}
STRUCTURED: Final = frozenset({"json", "logfmt"})
"""Formats that write chosen fields under their names."""

_OTEL_ELSEWHERE: Final = frozenset({"time", "time_unix", "time_clf", "level", "trace_id", "span_id"})
_SEVERITY: Final = {"info": 9, "warning": 13, "error": 17}  # SeverityNumber of the OpenTelemetry log data model

_FLAGS: Final = Value(
    "trace_flags(first('traceparent')) if request.trace is None else int(request.trace.is_sampled)",
    Kind.INTEGER,
    optional=True,
    names={"trace_flags": trace_flags},
)


class FormatError(ValueError):
    """A format or a list of fields that cannot be used."""


def build_renderer(
    name: str,
    fields: Sequence[str],
    added: Mapping[str, str],
    find: Find,
    *,
    nulls: bool = False,
    placeholder: str = "-",
) -> Renderer:
    """Return a function that writes lines, each with the newline that ends it.

    :param name: ``json``, ``logfmt``, ``common``, ``combined`` or a template.
    :param fields: what a structured line says.
    :param added: by name, templates of what it says beside that.
    :param find: returns the value of a field.
    :param placeholder: what stands in a line of text where there is no value.
    :param nulls: whether JSON says ``null`` where there is no value, instead of nothing.
    :raises FormatError: naming what cannot be used.
    """
    if name == "json":
        return _json_line(named_values(fields, added, find), nulls)
    if name == "logfmt":
        return _logfmt_line(named_values(fields, added, find))
    bare = styles.BARE if name in NAMED_TEMPLATES else None
    return compile_line([*template_pieces(NAMED_TEMPLATES.get(name, name), find, styles.TEXT, placeholder, bare), "\n"])


def build_otel_renderer(fields: Sequence[str], added: Mapping[str, str], body: str, find: Find) -> Renderer:
    """Return a function that writes a ``LogRecord`` of OTLP in its JSON encoding (opentelemetry-proto 1.5)."""
    attributes = [
        styles.piece(value, styles.OTEL, before=f'{{"key":{quote_json(name)},"value":', after="}")
        for name, value in _otel_values([name for name in fields if name not in _OTEL_ELSEWHERE], added, find)
    ]
    head = Value("record_head(response, record)", Kind.CLEAN, names={"record_head": _otel_head})
    text = _text_value(body, find).through(quote_json, kind=Kind.CLEAN)
    parts: list[str | Piece] = [Piece(head), ',"body":{"stringValue":', Piece(text), '},"attributes":[']
    parts += [*_separated(attributes), "]"]
    for field, key in (("trace_id", "traceId"), ("span_id", "spanId")):
        if (value := find(field)) is not None:
            parts.append(styles.piece(value, styles.JSON, before=f',"{key}":'))
    if find("trace_id") is not None:
        parts.append(styles.piece(_FLAGS, styles.JSON, before=',"flags":'))
    return compile_line([*parts, "}"])


def _otel_values(fields: Sequence[str], added: Mapping[str, str], find: Find) -> list[tuple[str, Value]]:
    """Return (attribute, value) as the semantic conventions have them: host and method are two attributes each."""
    values: list[tuple[str, Value]] = []
    for name, value in named_values(fields, added, find):
        if name == "host" and name not in added:
            values += _split_host(value)
        elif name == "method" and name not in added:
            values.append((_otel_name(name), value.through(otel_method, kind=Kind.WORD)))
            original = value.through(lambda method: None if otel_method(method) == method else method, kind=Kind.TEXT)
            values.append(("http.request.method_original", replace(original, optional=True)))
        else:
            values.append((_otel_name(name), value))
    unique = dict[str, Value]()
    for attribute, value in values:
        unique.setdefault(attribute, value)
    return list(unique.items())


def _split_host(value: Value) -> list[tuple[str, Value]]:
    # Made of the value, not of the request: a rule that hides the host hides its parts.
    address = replace(value.through(server_address, kind=Kind.TEXT), optional=True)
    read = fresh_name("port")
    port = Value(
        f"{read}({value.source}, request.scheme)",
        Kind.INTEGER,
        optional=True,
        names={**value.names, read: lambda host, scheme: None if host is None else server_port(host, scheme)},
    )
    return [("server.address", address), ("server.port", port)]


def named_values(fields: Sequence[str], added: Mapping[str, str], find: Find) -> list[tuple[str, Value]]:
    """Return (name, value) of what a structured line says, in order."""
    named = [(field, find(field)) for field in fields] + [
        (name, added_value(text, find)) for name, text in added.items()
    ]
    return [(name, value) for name, value in named if value is not None]


def added_value(template: str, find: Find) -> Value | None:
    """Return the value of an added field: that of the one field in the template if there is nothing else, else text."""
    parts = parse(template)
    if len(parts) == 1 and isinstance(parts[0], Placeholder):
        return find(parts[0].field)
    return _text_value(template, find)


def parse(template: str) -> tuple[str | Placeholder, ...]:
    """Return the parts of a template.

    :raises FormatError: it cannot be read.
    """
    try:
        return parse_template(template)
    except TemplateError as error:
        raise FormatError(str(error)) from None


def check_template(template: str) -> str:
    """Return a template that can be used.

    :raises FormatError: it cannot be read, or names a field that there is not.
    """
    template_pieces(template, find_value, styles.TEXT, "")
    return template


def template_pieces(
    template: str, find: Find, style: styles.Style, missing: str, bare: styles.Style | None = None
) -> list[str | Piece]:
    """Return what a template is made of; a field without a value, or one that must not be logged, is ``missing``.

    :param bare: the style of fields that are not in quotes, if it is another.
    """
    pieces: list[str | Piece] = []
    # Quotes stand around some fields, so the style changes with each of them.
    here, elsewhere = bare or style, style
    for part in parse(template):
        if isinstance(part, str):
            pieces.append(part)
            if bare is not None and part.count('"') % 2:
                here, elsewhere = elsewhere, here
            continue
        try:
            value = find(part.field)
        except FieldNameError as error:
            raise FormatError(str(error)) from None
        pieces.append(missing if value is None else styles.piece(value, here, missing=missing))
    return pieces


def _text_value(template: str, find: Find) -> Value:
    name = fresh_name("text")
    text = compile_line(template_pieces(template, find, styles.RAW, ""))
    return Value(f"{name}(request, response, record)", Kind.TEXT, names={name: text})


def _json_line(named: list[tuple[str, Value]], nulls: bool) -> Renderer:
    members = []
    for name, value in named:
        key = f"{quote_json(name)}:"
        members.append(styles.piece(value, styles.JSON, before=key, missing=key + "null" if nulls else ""))
    return compile_line(["{", *_separated(members), "}\n"])


def _logfmt_line(named: list[tuple[str, Value]]) -> Renderer:
    members = [styles.piece(value, styles.LOGFMT, before=f"{_logfmt_key(name)}=") for name, value in named]
    return compile_line([*_separated(members, " "), "\n"])


def _separated(pieces: list[Piece], separator: str = ",") -> list[str | Piece]:
    """Return the pieces with a separator between those that are written.

    A piece that may be missing carries its own separator, so what comes first must be one that is always there.
    """
    always = next((number for number, p in enumerate(pieces) if not _may_vanish(p)), None)
    if always is None:
        return [_all_may_vanish(pieces, separator)] if pieces else []
    separated: list[str | Piece] = []
    for number, one in enumerate(pieces):
        before = one.before if number == always or number < always else separator + one.before
        after = one.after + separator if number < always else one.after
        missing = separator + one.missing if one.missing and number > always else one.missing
        separated.append(Piece(one.value, one.writer, one.spec, before, after, missing))
    return separated


def _may_vanish(one: Piece) -> bool:
    return one.value.optional and not one.missing


def _all_may_vanish(pieces: list[Piece], separator: str) -> Piece:
    """Return one piece for several of which each may be missing: every one with a separator, and the first cut off."""
    names = fresh_name("members")
    line = compile_line([Piece(p.value, p.writer, p.spec, separator + p.before, p.after) for p in pieces])

    def members(request: Request, response: Response, record: Record) -> str:
        return line(request, response, record)[len(separator) :]

    return Piece(Value(f"{names}(request, response, record)", Kind.CLEAN, names={names: members}))


def _logfmt_key(name: str) -> str:
    return "".join(character if character.isalnum() or character in "_-.:" else "_" for character in name)


def _otel_name(name: str) -> str:
    if name in FIELDS:
        return FIELDS[name].otel
    kind, colon, rest = name.partition(":")
    if not colon:
        return name
    known = {"header": "http.request.header", "response_header": "http.response.header", "claim": "enduser.claim"}
    return f"{known.get(kind, 'gateway.' + kind)}.{rest.lower()}"


def _otel_head(response: Response, record: Record) -> str:
    status, started = response.status, record.started_at
    level = "info" if status < 400 else "warning" if status < 500 else "error"
    ended = started + record.duration
    return (
        f'{{"timeUnixNano":"{int(started * 1e6)}000","observedTimeUnixNano":"{int(ended * 1e6)}000",'
        f'"severityNumber":{_SEVERITY[level]},"severityText":"{"WARN" if level == "warning" else level.upper()}"'
    )
