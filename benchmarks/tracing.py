"""What tracing adds to a request on the event loop: the pipeline with it beside the one without, on real traffic.

    python -m benchmarks.tracing       # microseconds per request that each case adds

Spans are put into the exporter's queue; writing and sending them is left out: a thread and a task of their own do that.
Time is processor time of the process. A round measures the bare pipeline before and after each case; what is shown is
the median of the differences. Compare figures of one run only.

In `repeated` one client sends one request again and again. In `varied` 400 clients send requests, each with another
target and the ``traceparent`` of a caller that is not trusted, which is taken out.
"""

from __future__ import annotations

import argparse
import asyncio
from random import Random
from typing import Final

from gateway_core.clock import SystemClock
from gateway_core.metrics import Metrics
from gateway_core.observe.tracing import Tracer
from gateway_core.observe.tracing.exporter import Exporter, ExporterSettings
from gateway_core.observe.tracing.otlp import json_encoding
from gateway_core.observe.tracing.sampling import SamplingPolicy, bound_of
from gateway_core.observe.tracing.spans import SpanSource

from benchmarks.pipeline import ANSWER, prepare, round_trip
from benchmarks.plugins import added, repeated, varied

CASES: Final = {
    "unsampled": SamplingPolicy(bound_of(0.0)),
    "unsampled, errors kept": SamplingPolicy(bound_of(0.0), keeps_errors=True),
    "sampled": SamplingPolicy(bound_of(1.0)),
}


class Emptied(Exporter):
    """Takes spans as it does at work, and forgets them by the batch in place of sending them."""

    def __init__(self, metrics: Metrics) -> None:
        settings = ExporterSettings("", "http/json", (), False, 1.0, "", "", "", (), 16384, 512, 1.0)
        super().__init__(settings, json_encoding({}, ""), SystemClock(), metrics)

    def put(self, source: SpanSource, count: int, size: int) -> None:
        super().put(source, count, size)
        if self.waiting >= 512:
            self.waiting -= self._take()[1]


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--count", type=int, default=4000)
    options = parser.parse_args()
    for kind, requests in {"repeated": repeated(), "varied": varied([""] * 400, 1)}.items():
        bare = round_trip(await prepare(), requests, ANSWER)
        for name, policy in CASES.items():
            proxy, metrics = await prepare(), Metrics()
            proxy.holder.current.tracer = Tracer(policy, ("w3c",), Emptied(metrics), SystemClock(), metrics, Random(1))
            cost, more = await added(round_trip(proxy, requests, ANSWER), bare, options.rounds, options.count)
            print(f"{name + ', ' + kind:32s} {more:+8.2f} us   (without {cost:.2f})")


if __name__ == "__main__":
    asyncio.run(main())
