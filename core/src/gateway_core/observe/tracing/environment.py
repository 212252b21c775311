"""The standard variables of OpenTelemetry (specification 1.50, "Environment Variables"), as values.

They say what the configuration leaves open. A value that is not understood is left out and reported, as the
specification asks for; only the text of the problem is, since headers carry credentials.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar
from urllib.parse import unquote, urlsplit

from gateway_core.observe.tracing.propagation import Format

T = TypeVar("T")

_FORMATS: Final[Mapping[str, Format | None]] = {
    "tracecontext": "w3c", "b3": "b3", "b3multi": "b3multi", "baggage": None, "none": None,
}  # fmt: skip
_PROTOCOLS: Final = ("http/json", "http/protobuf")
_SAMPLERS: Final[Mapping[str, tuple[float | None, bool]]] = {
    "always_on": (1.0, False),
    "always_off": (0.0, False),
    "traceidratio": (None, False),
    "parentbased_always_on": (1.0, True),
    "parentbased_always_off": (0.0, True),
    "parentbased_traceidratio": (None, True),
}
"""The share, None for that of the argument, and whether the caller's decision counts."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """What the variables say; None where they say nothing."""

    is_disabled: bool = False
    is_exported: bool = True
    """Whether spans are sent at all (``OTEL_TRACES_EXPORTER``)."""
    endpoint: str | None = None
    """The URL to send to, with its path."""
    protocol: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    compression: str | None = None
    timeout: float | None = None
    """Seconds."""
    ca: str = ""
    cert: str = ""
    key: str = ""
    service_name: str | None = None
    resource: Mapping[str, str] = field(default_factory=dict)
    sample: float | None = None
    follows_parent: bool | None = None
    formats: tuple[Format, ...] | None = None
    max_spans: int | None = None
    batch_spans: int | None = None
    delay: float | None = None
    """Seconds."""
    give_up: float | None = None
    """Seconds for which one batch is sent again and again."""
    longest: int | None = None
    """Characters of an attribute's text."""
    known_methods: frozenset[str] | None = None
    """Those that are not ``_OTHER``, in place of the usual ones."""
    problems: tuple[str, ...] = ()
    """What was left out, and why."""


def read_environment(environ: Mapping[str, str]) -> Defaults:
    """Return what the variables say; empty ones count as unset."""
    return _Reader({name: value.strip() for name, value in environ.items() if value.strip()}).read()


class _Reader:
    def __init__(self, given: Mapping[str, str]) -> None:
        self._given = given
        self._problems: list[str] = []

    def read(self) -> Defaults:
        sample, follows_parent = self._sampler()
        return Defaults(
            is_disabled=self._get("OTEL_SDK_DISABLED", str.lower) == "true",
            is_exported=self._is_exported(),
            endpoint=self._endpoint(),
            protocol=self._otlp("PROTOCOL", self._protocol),
            headers=self._otlp("HEADERS", _pairs) or {},
            compression=self._otlp("COMPRESSION", _compression),
            timeout=self._otlp("TIMEOUT", _seconds),
            ca=self._otlp("CERTIFICATE", str) or "",
            cert=self._otlp("CLIENT_CERTIFICATE", str) or "",
            key=self._otlp("CLIENT_KEY", str) or "",
            service_name=self._get("OTEL_SERVICE_NAME", str),
            resource=self._get("OTEL_RESOURCE_ATTRIBUTES", _pairs) or {},
            sample=sample,
            follows_parent=follows_parent,
            formats=self._get("OTEL_PROPAGATORS", _formats),
            max_spans=self._get("OTEL_BSP_MAX_QUEUE_SIZE", _positive),
            batch_spans=self._get("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", _positive),
            delay=self._get("OTEL_BSP_SCHEDULE_DELAY", _seconds),
            give_up=self._get("OTEL_BSP_EXPORT_TIMEOUT", _seconds),
            longest=self._longest(),
            known_methods=self._get("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", _methods),
            problems=tuple(self._problems),
        )

    def _get(self, name: str, read: Callable[[str], T]) -> T | None:
        value = self._given.get(name)
        if value is None:
            return None
        try:
            return read(value)
        except ValueError as error:
            self._problems.append(f"{name} {error}")
            return None

    def _otlp(self, name: str, read: Callable[[str], T]) -> T | None:
        """Read what is for traces, else what is for all signals."""
        of_traces = f"OTEL_EXPORTER_OTLP_TRACES_{name}"
        return self._get(of_traces if of_traces in self._given else f"OTEL_EXPORTER_OTLP_{name}", read)

    def _endpoint(self) -> str | None:
        # That of traces is used as it is; that of all signals is a base (specification of the OTLP exporter).
        own = self._get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", _url)
        if own is not None:
            return own if urlsplit(own).path else f"{own}/"
        base = self._get("OTEL_EXPORTER_OTLP_ENDPOINT", _url)
        return None if base is None else base.rstrip("/") + "/v1/traces"

    def _longest(self) -> int | None:
        of_spans = "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT"
        return self._get(of_spans if of_spans in self._given else "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", _positive)

    def _protocol(self, value: str) -> str:
        if value not in _PROTOCOLS:
            raise ValueError("is not one of http/json, http/protobuf")
        return value

    def _is_exported(self) -> bool:
        names = [name.strip() for name in self._given.get("OTEL_TRACES_EXPORTER", "otlp").split(",")]
        if "otlp" not in names and names != ["none"]:
            self._problems.append("OTEL_TRACES_EXPORTER has none of otlp, none")
            return True
        return "otlp" in names

    def _sampler(self) -> tuple[float | None, bool | None]:
        found = self._get("OTEL_TRACES_SAMPLER", _sampler)
        if found is None:
            return None, None
        share, follows_parent = found
        if share is None:
            share = self._get("OTEL_TRACES_SAMPLER_ARG", _ratio)
            share = 1.0 if share is None else share
        return share, follows_parent


def _sampler(value: str) -> tuple[float | None, bool]:
    if value not in _SAMPLERS:
        raise ValueError(f"is not one of {', '.join(_SAMPLERS)}")
    return _SAMPLERS[value]


def _ratio(value: str) -> float:
    number = _number(value)
    if not 0 <= number <= 1:
        raise ValueError("is not between 0 and 1")
    return number


def _number(value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        raise ValueError("is not a number") from None
    if not math.isfinite(number):
        raise ValueError("is not a number")
    return number


def _seconds(value: str) -> float:
    milliseconds = _number(value)
    if milliseconds <= 0:
        raise ValueError("is not a number of milliseconds above 0")
    return milliseconds / 1000


def _positive(value: str) -> int:
    if not value.isascii() or not value.isdigit() or not int(value):
        raise ValueError("is not a whole number above 0")
    return int(value)


def _url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("is not a URL such as http://collector:4318")
    return value


def _compression(value: str) -> str:
    if value not in {"gzip", "none"}:
        raise ValueError("is not one of gzip, none")
    return value


def _formats(value: str) -> tuple[Format, ...]:
    names = list(dict.fromkeys(name.strip() for name in value.split(",")))
    if unknown := [name for name in names if name not in _FORMATS]:
        raise ValueError(f"has {unknown[0][:40]!r}, which is not one of {', '.join(_FORMATS)}")
    return tuple(found for name in names if (found := _FORMATS[name]) is not None)


def _methods(value: str) -> frozenset[str]:
    names = frozenset([name for each in value.split(",") if (name := each.strip())])
    if not names or not all(name.isascii() and name.isprintable() and " " not in name for name in names):
        raise ValueError("is not a list of methods such as GET,POST,PROPFIND")
    return names


def _pairs(value: str) -> dict[str, str]:
    """Return the members of a list in the form of W3C Baggage, without its properties."""
    found = {}
    for member in value.split(","):
        name, equals, text = member.partition("=")
        name = unquote(name.strip())
        if not member.strip():
            continue
        if not equals or not name:
            raise ValueError("is not a list such as name=value,other=value")
        found[name] = unquote(text.strip())
    return found
