"""What tracing adds to a request on the event loop: the pipeline with it beside the one without, on real traffic.

    python -m benchmarks.tracing       # microseconds per request that each case adds

Writing and sending spans is left out: a thread and a task of their own do that. Time is processor time of the process.
A round measures the bare pipeline before and after each case; what is shown is the median of the differences. Compare
figures of one run only.
"""

from __future__ import annotations

import argparse
import asyncio
from random import Random
from typing import Final

from gateway_core.clock import SystemClock
from gateway_core.metrics import Metrics
from gateway_core.observe.tracing import Tracer
from gateway_core.observe.tracing.sampling import SamplingPolicy, bound_of
from gateway_core.observe.tracing.spans import SpanBatch

from benchmarks.pipeline import ANSWER, prepare, round_trip
from benchmarks.plugins import added, repeated, varied

CASES: Final = {
    "unsampled": SamplingPolicy(bound_of(0.0)),
    "unsampled, errors kept": SamplingPolicy(bound_of(0.0), keeps_errors=True),
    "sampled": SamplingPolicy(bound_of(1.0)),
}


class Counted:
    """Takes spans and keeps none."""

    def __init__(self) -> None:
        self.count = 0

    def put(self, batch: SpanBatch) -> None:
        self.count += len(batch.spans)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--count", type=int, default=4000)
    options = parser.parse_args()
    for kind, requests in {"repeated": repeated(), "varied": varied([""] * 400, 1)}.items():
        bare = round_trip(await prepare(), requests, ANSWER)
        for name, policy in CASES.items():
            proxy = await prepare()
            proxy.holder.current.tracer = Tracer(policy, ("w3c",), Counted(), SystemClock(), Metrics(), Random(1))
            cost, more = await added(round_trip(proxy, requests, ANSWER), bare, options.rounds, options.count)
            print(f"{name + ', ' + kind:32s} {more:+8.2f} us   (without {cost:.2f})")


if __name__ == "__main__":
    asyncio.run(main())
