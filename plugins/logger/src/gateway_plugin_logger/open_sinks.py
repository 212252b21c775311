"""Puts together what becomes of a request: whether it gets a line, in what forms, and where they go."""

from __future__ import annotations

import logging
import secrets
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

from gateway_plugin_sdk import Clock, Metrics, Record, Request, Response, client_tls_context

from gateway_plugin_logger.bodies.capture import BODY_FIELDS, BodyCapture, make_capture
from gateway_plugin_logger.config import HttpSink, LoggerConfig, OtlpSink, Redaction, SinkConfig, SyslogSink
from gateway_plugin_logger.config.redaction import DeleteRule, HashRule, MaskIpRule, ReplaceRule, Rule
from gateway_plugin_logger.fields import Kind, Value
from gateway_plugin_logger.fields.value import fresh_name
from gateway_plugin_logger.filters.conditions import Predicate, make_condition
from gateway_plugin_logger.filters.sampling import make_sampler
from gateway_plugin_logger.formats.build import build_otel_renderer, build_renderer
from gateway_plugin_logger.formats.compiler import Renderer
from gateway_plugin_logger.redaction import RedactedFields
from gateway_plugin_logger.redaction.bodies import make_body_mask
from gateway_plugin_logger.redaction.fields import FieldRule
from gateway_plugin_logger.redaction.masks import Mask, make_hash, make_ip_mask, make_replacement
from gateway_plugin_logger.sinks import destinations
from gateway_plugin_logger.sinks.sender import Sender
from gateway_plugin_logger.sinks.stats import SinkStats
from gateway_plugin_logger.sinks.syslog import SyslogClient, make_head

Extend = Callable[[Sequence[str]], None]
Close = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class SinkContext:
    """What sinks are given beside their options."""

    binding: str
    metrics: Metrics
    clock: Clock
    log: logging.Logger


@dataclass(frozen=True, slots=True)
class OpenSink:
    """An open sink."""

    extend: Extend
    close: Close
    """Writes what is left within so many seconds, and closes."""


@dataclass(frozen=True, slots=True)
class Forms:
    """The forms in which a request is written down, each made once however many sinks take it."""

    line: Renderer
    otel: dict[str, Renderer]
    """By the template of the body, records for a collector."""
    captures: dict[str, BodyCapture]
    """What keeps bodies for them, by field; only those that lines name."""


def make_filter(config: LoggerConfig) -> Predicate | None:
    """Return a function that says whether a request gets a line; None if every request does."""
    # What cannot be decided is written: a client must not keep its line out of the log with a long text.
    skip, only = make_condition(config.skip, undecided=False), make_condition(config.only, undecided=True)
    sample = make_sampler(config.sample) if config.sample.rate < 1.0 else None
    if skip is None and only is None and sample is None:
        return None

    def passes(request: Request, response: Response, record: Record) -> bool:
        if skip is not None and skip(request, response, record):
            return False
        if only is not None and not only(request, response, record):
            return False
        return sample is None or sample(request, response, record)

    return passes


def make_forms(config: LoggerConfig, binding: str = "logger") -> Forms:
    """Return the forms that the sinks of a configuration need."""
    captures = _captures(config, binding)
    find = _redacted_fields(config.redact, {name: _body_value(each) for name, each in captures.items()}).find
    line = build_renderer(
        config.format,
        config.line_fields,
        config.add,
        find,
        nulls=config.missing == "null",
        placeholder=config.placeholder,
    )
    bodies = {sink.body for sink in config.destinations if isinstance(sink, OtlpSink)}
    otel = {body: build_otel_renderer(config.line_fields, config.add, body, find) for body in bodies}
    return Forms(line, otel, captures)


def _captures(config: LoggerConfig, binding: str) -> dict[str, BodyCapture]:
    redact = config.redact
    mask = make_body_mask(() if "*" in redact.show else redact.members, () if "*" in redact.show else redact.query)
    options = {"request_body": config.request_body, "response_body": config.response_body}
    return {name: make_capture(name, options[name], binding, mask) for name in BODY_FIELDS if name in config.names}


def _body_value(capture: BodyCapture) -> Value:
    name = fresh_name("body")
    return Value(f"{name}(request, response, record)", Kind.TEXT, optional=True, names={name: capture.text})


def _redacted_fields(redaction: Redaction, own: Mapping[str, Value]) -> RedactedFields:
    key = redaction.hash_key
    key_bytes = secrets.token_bytes(32) if key is None else key.reveal().encode()
    rules = [FieldRule(frozenset(rule.fields), _mask(rule, key_bytes)) for rule in redaction.rules]
    return RedactedFields(rules, redaction.query, redaction.show, own)


def _mask(rule: Rule, key: bytes) -> Mask | None:
    match rule:
        case DeleteRule():
            return None
        case ReplaceRule():
            return make_replacement(rule.pattern, rule.replacement)
        case HashRule():
            return make_hash(key)
        case MaskIpRule():
            return make_ip_mask(rule.ipv4, rule.ipv6)


def load_tls(sink: SinkConfig) -> ssl.SSLContext | None:
    """Return how the server of a sink is trusted; None if it has no TLS, or the usual one. Blocks.

    :raises ValueError: a file cannot be used.
    """
    if isinstance(sink, SyslogSink):
        encrypted = sink.address.startswith("tls:")
    elif isinstance(sink, HttpSink | OtlpSink):
        url = sink.endpoint if isinstance(sink, OtlpSink) else sink.url
        encrypted = url.reveal().startswith("https:")
    else:
        return None
    if not encrypted:
        return None
    tls = sink.tls
    ca, cert, key = ("" if file is None else str(file) for file in (tls.ca, tls.cert, tls.key))
    return client_tls_context(ca, cert, key, verify=tls.verify)


def open_sink(
    sink: SinkConfig, config: LoggerConfig, context: SinkContext, tls: ssl.SSLContext | None = None
) -> OpenSink:
    """Open a sink.

    :param tls: what `load_tls` returned for it.
    :raises OSError: its file, or a certificate of it, cannot be opened.
    """
    stats = partial(SinkStats, metrics=context.metrics, clock=context.clock, log=context.log)
    if isinstance(sink, SyslogSink):
        syslog = SyslogClient(sink, tls)
        name = f"syslog:{sink.address}"
        return _sending(Sender(sink.queue, syslog.deliver, stats(name), context.clock, name), syslog.aclose)
    if isinstance(sink, HttpSink | OtlpSink):
        # Lines that go to files do without the memory of an HTTP client.
        from gateway_plugin_logger.sinks.http import HttpClient, lines_target, otlp_target  # noqa: PLC0415

        target = otlp_target(sink) if isinstance(sink, OtlpSink) else lines_target(sink, config.format)
        name = f"{sink.type}:{urlsplit(target.url).netloc.rpartition('@')[2]}"
        counts = stats(name)
        client = HttpClient(target, context.clock.wall, lambda told: counts.refused(told.records, told.why), tls)
        return _sending(Sender(sink.queue, client.deliver, counts, context.clock, name), client.aclose)
    writer = destinations.OPEN.acquire(sink, lambda: stats(destinations.describe(sink)), context.clock)
    return OpenSink(writer.extend, partial(destinations.OPEN.release_soon, writer))


def _sending(sender: Sender, close_client: Callable[[], Awaitable[None]]) -> OpenSink:
    sender.start()

    async def close(timeout: float) -> None:  # noqa: ASYNC109 - a deadline for the lines, not for the caller
        await sender.aclose(timeout)
        await close_client()

    return OpenSink(sender.extend, close)


def renderer_for(sink: SinkConfig, forms: Forms, binding: str) -> Renderer:
    """Return what writes the lines of a sink; the same function for sinks that take the same lines."""
    if isinstance(sink, OtlpSink):
        return forms.otel[sink.body]
    if isinstance(sink, SyslogSink):
        head, line = make_head(sink, binding), forms.line
        return lambda request, response, record: head(request, response, record) + line(request, response, record)
    return forms.line
