"""What the environment provides without being named: none of it goes where a document without the right to it says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from gateway_core.config.checks.scope import Scope, mappings, text
from gateway_core.config.config_file import ENVIRONMENT_KEY
from gateway_core.config.documents import Document

_HEADERS: Final = ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS")
"""Variables with header fields for a collector of spans, which mostly are credentials."""


def withhold_environment(scope: Scope, document_of: Callable[[str], Document], environ: Mapping[str, str]) -> None:
    """Have what discoveries take from the environment be empty in documents without the right to it.

    Reports collectors of spans there that would be sent header fields of the environment.

    :param document_of: looks up a document by its name.
    """
    for path, upstream in mappings(scope.document, "upstreams"):
        entry = upstream.get("discovery")
        config = entry.get("config") if isinstance(entry, Mapping) else None
        if isinstance(config, dict) and "env" not in document_of(scope.place((*path, "discovery")).file).rights:
            for option, *_ in scope.marked_options("discovery", upstream["discovery"], ENVIRONMENT_KEY):
                config.setdefault(option, "")
    _check_collector(scope, document_of, environ)


def _check_collector(scope: Scope, document_of: Callable[[str], Document], environ: Mapping[str, str]) -> None:
    tracing: Any = scope.document.get("tracing")
    otlp = tracing.get("otlp") if isinstance(tracing, Mapping) else None
    path = ("tracing", "otlp", "url")
    if not isinstance(otlp, Mapping) or text(otlp, "url") is None:
        return
    document = document_of(scope.place(path).file)
    variable = next((name for name in _HEADERS if environ.get(name)), None)
    if variable is not None and "env" not in document.rights:
        message = f"would be sent the fields of {variable}, which {document.name} may not use"
        remedy = "give it in a file of this machine, or name the source in sources there with allow: [env]"
        scope.add(path, message, code="substitution.not-allowed", remedy=remedy)
