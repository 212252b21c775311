"""Which of many like requests get a line."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable

from gateway_plugin_sdk import Record, Request, Response

from gateway_plugin_logger.config.conditions import Sampling
from gateway_plugin_logger.fields import readers
from gateway_plugin_logger.filters.conditions import Predicate, make_condition


def make_sampler(sampling: Sampling, draw: Callable[[], float] = random.random) -> Predicate:
    """Return a function that says whether a request is among those that get a line.

    :param draw: gives numbers from 0 up to 1.
    """
    always = make_condition(sampling.always, undecided=True)
    is_chosen = _make_choice(sampling, draw)
    is_first = _make_counter(sampling.first, sampling.interval) if sampling.first else None

    def sample(request: Request, response: Response, record: Record) -> bool:
        if always is not None and always(request, response, record):
            return True
        if is_first is not None and is_first(record.started_at + record.duration):
            return True
        return is_chosen(request)

    return sample


def _make_choice(sampling: Sampling, draw: Callable[[], float]) -> Callable[[Request], bool]:
    rate, by = sampling.rate, sampling.by
    if by == "chance":
        return lambda _request: draw() < rate

    def is_chosen(request: Request) -> bool:
        key = None
        if by == "trace_id":
            trace = request.trace
            key = readers.trace_id(request.first_value("traceparent")) if trace is None else trace.trace_id
        elif by == "client_ip":
            key = request.client_ip
        return even_share(key or request.request_id) < rate

    return is_chosen


def even_share(key: str) -> float:
    """Return a number from 0 up to 1 that belongs to a text, the same in every process and on every machine."""
    digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=6).digest()
    return int.from_bytes(digest) / 2**48


def _make_counter(first: int, interval: float) -> Callable[[float], bool]:
    window, count = -1.0, 0

    def is_first(now: float) -> bool:
        nonlocal window, count
        current = now // interval
        if current != window:
            window, count = current, 0
        count += 1
        return count <= first

    return is_first
