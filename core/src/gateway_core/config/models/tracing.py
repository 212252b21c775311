"""Traces: what is sampled, what upstreams receive, and where spans are sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from gateway_core.config.config_file import OptionalFileName
from gateway_core.config.models.base import Section
from gateway_core.config.secret import SecretHeaderValue, SecretUrl
from gateway_core.config.suggestions import Fault
from gateway_core.config.values import (
    Duration,
    HeaderName,
    InvalidValueError,
    PositiveCount,
    PositiveDuration,
    Ratio,
    Switch,
    refuse,
)

_OWN_FIELDS: Final = frozenset(
    {"content-encoding", "content-length", "content-type", "host", "transfer-encoding", "connection"}
)


def _check_collector(url: SecretUrl) -> SecretUrl:
    parts = urlsplit(url.reveal())
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.fragment:
        raise InvalidValueError("is not the URL of a collector", remedy="write for example http://collector:4318")
    return url


class OtlpConfig(Section):
    """The collector: OTLP over HTTP. What is not given is as the standard ``OTEL_EXPORTER_OTLP_*`` variables say."""

    url: Annotated[SecretUrl, AfterValidator(_check_collector)] | None = None
    """URL of the collector; ``/v1/traces`` is appended unless it has a path. ``http://localhost:4318`` unless given."""

    protocol: Literal["http/json", "http/protobuf"] | None = None
    """How spans are written; ``http/json`` unless given. ``http/protobuf`` needs ``pip install gateway-core[otlp]``."""

    headers: Mapping[HeaderName, SecretHeaderValue] = Field(default_factory=dict)
    """Fields of each request, such as credentials."""

    compression: Literal["gzip", "none"] | None = None
    """``gzip`` unless given."""

    timeout: PositiveDuration | None = None
    """How long one request may take; 10 seconds unless given."""

    ca: OptionalFileName = ""
    """File of the authorities to trust; the system's unless given."""

    cert: OptionalFileName = ""
    """File of the client certificate."""

    key: OptionalFileName = ""
    """File of the client certificate's key, unless it is in ``cert``."""

    @model_validator(mode="after")
    def _check(self) -> OtlpConfig:
        own = sorted(name for name in self.headers if name.lower() in _OWN_FIELDS)
        faults = [Fault(f"headers has {name}, which the exporter writes itself", "leave it out") for name in own]
        if self.key and not self.cert:
            faults.append(Fault("key is given without cert", "give both, or neither"))
        refuse(faults)
        return self


class SpanQueueConfig(Section):
    """Spans that wait for the collector, in each worker."""

    max_spans: PositiveCount | None = None
    """Most spans at once, those on their way included; more are dropped and counted. 16,384 unless given."""

    batch_spans: PositiveCount | None = None
    """Most spans of one request to the collector, if one trace has no more. 512 unless given."""

    delay: PositiveDuration | None = None
    """How long spans wait for others, for one request together. A second unless given."""


Detail = Literal["requests", "hooks"]


class RouteTracingConfig(Section):
    """How the traces of a route's requests are sampled; what is not given is as for the gateway."""

    sample: Ratio | None = None
    """Share of the traces that begin here, from 0 to 1."""

    parent_based: Switch | None = None
    """Whether a trusted caller's decision counts, where there is one."""

    errors: Switch | None = None
    """Whether requests that fail are exported whatever the sampling."""

    slower_than: Duration | None = None
    """Export requests that take longer whatever the sampling; 0 switches that off. Upgraded connections are exempt."""

    detail: Detail | None = None
    """``hooks`` gives each hook of a plugin a span."""


class TracingConfig(Section):
    """Traces of requests (OpenTelemetry); docs/tracing.md."""

    otlp: OtlpConfig = OtlpConfig()
    """Where spans are sent."""

    service_name: str | None = None
    """``service.name`` of the spans; ``OTEL_SERVICE_NAME``, or ``gateway``, unless given."""

    resource: Mapping[str, str] = Field(default_factory=dict)
    """Further attributes of the resource, such as ``deployment.environment.name``; before those of
    ``OTEL_RESOURCE_ATTRIBUTES``."""

    sample: Ratio | None = None
    """Share of the traces that begin here, from 0 to 1, which is exported. All unless given, or as
    ``OTEL_TRACES_SAMPLER`` says."""

    parent_based: Switch | None = None
    """Whether a trusted caller's decision counts, where there is one; ``true`` unless given. Peers that are not in
    ``trusted_proxies`` never decide: their requests begin traces of their own, with a link."""

    errors: Switch = False
    """Whether requests that fail (status 500 and above, or no complete response) are exported whatever the sampling."""

    slower_than: Duration = 0.0
    """Export requests that take longer whatever the sampling; 0 switches that off. Upgraded connections are exempt."""

    detail: Detail = "requests"
    """``hooks`` gives each hook of a plugin a span."""

    propagate: tuple[Literal["w3c", "b3", "b3multi"], ...] | None = None
    """Formats that upstreams are sent, and that are read, the first valid one: ``w3c`` (traceparent, tracestate),
    ``b3`` (one field), ``b3multi`` (X-B3-*). ``[w3c]`` unless given, or as ``OTEL_PROPAGATORS`` says."""

    queue: SpanQueueConfig = SpanQueueConfig()
    """Bounds of what waits for the collector."""
