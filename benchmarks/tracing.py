"""What tracing adds to a request on the event loop: the pipeline with it beside the one without, on real traffic.

    python -m benchmarks.tracing       # microseconds per request that each case adds

`path` is what a request takes longer until its spans are in the exporter's queue. `exporter` is what its spans take
later: to be taken from the queue, written and forgotten, which a thread and a task of their own do at work, by the
batch. Sending is left out. Time is processor time of the process. A round measures the bare pipeline before and after
each case; what is shown is the median of the differences. Compare figures of one run only.

In `repeated` one client sends one request again and again. In `varied` 400 clients send requests, each with another
target and the ``traceparent`` of a caller that is not trusted, which is taken out.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import time
from random import Random
from statistics import median
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
    """Takes spans as it does at work, and writes and forgets them by the batch in place of sending them."""

    def __init__(self, metrics: Metrics) -> None:
        self.spent = 0.0
        """Seconds of processor time that this took so far."""
        settings = ExporterSettings("", "http/json", (), False, 1.0, "", "", "", (), 16384, 512, 1.0)
        super().__init__(settings, json_encoding({}, ""), SystemClock(), metrics)

    async def _export(self, sources: list[SpanSource], count: int) -> None:  # noqa: ARG002 - nothing is counted here
        start = time.process_time()
        self._write(sources, 0.0)
        self.spent += time.process_time() - start


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--count", type=int, default=4000)
    options = parser.parse_args()
    for kind, requests in {"repeated": repeated(), "varied": varied([""] * 400, 1)}.items():
        bare = round_trip(await prepare(), requests, ANSWER)
        for name, policy in CASES.items():
            proxy, metrics = await prepare(), Metrics()
            sink = Emptied(metrics)
            sink.start()
            proxy.holder.current.tracer = Tracer(policy, ("w3c",), sink, SystemClock(), metrics, Random(1))
            run, costs, paths, exports = round_trip(proxy, requests, ANSWER), [], [], []
            gc.freeze()  # as a worker does: what is there now is not looked through for each batch
            for _ in range(options.rounds):
                sink.spent = 0.0
                cost, more = await added(run, bare, 1, options.count)
                export = sink.spent / options.count * 1e6
                costs.append(cost)
                paths.append(more - export)
                exports.append(export)
            await sink.aclose()
            cost, path, export = map(median, (costs, paths, exports))
            print(f"{name + ', ' + kind:32s} path {path:+7.2f} us   exporter {export:+7.2f} us   (without {cost:.2f})")


if __name__ == "__main__":
    asyncio.run(main())
