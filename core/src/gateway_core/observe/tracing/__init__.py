"""Traces of requests (OpenTelemetry): what is read from and written into heads, which are kept, how they are exported.

On the path of a request there are texts and tuples only. `propagation` reads and writes the fields of a trace,
`sampling` decides, `trace` holds one request's spans until its end, `spans` and `semantics` say what of a request they
show, `otlp` writes them, and `exporter` sends them in batches from a task of its own.
"""

from gateway_core.observe.tracing.settings import OpenTracing, Tracing
from gateway_core.observe.tracing.spans import AttemptSpan
from gateway_core.observe.tracing.trace import RequestTrace, TracePlace, Tracer

__all__ = ["AttemptSpan", "OpenTracing", "RequestTrace", "TracePlace", "Tracer", "Tracing"]
