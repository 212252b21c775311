"""When a body counts as complete; what may be stored at all is tested with the plugin."""

from __future__ import annotations

import pytest
from gateway_plugin_cache.admission import Admission, Candidate, Lookup, Recorder
from gateway_plugin_cache.config import CacheConfig
from gateway_plugin_cache.fetches import Fetches
from gateway_plugin_cache.request_control import PLAIN
from gateway_plugin_cache.stores.memory import MemoryStore
from gateway_plugin_sdk import Headers, Request, Response
from gateway_plugin_sdk.testing import ManualClock


class Kept:
    """A body that is being stored."""

    def __init__(self, length: int | None, **config: int) -> None:
        clock = ManualClock()
        self.config = CacheConfig.model_validate(config)
        self.store = MemoryStore(self.config.memory.size, 8)
        self.admission = Admission(self.config, self.store, clock)
        lookup = Lookup(Request("GET", "/"), "http://a/", (), PLAIN, False, clock.monotonic(), Headers())
        candidate = self.admission.candidate(lookup, Response.streamed(200, "OK", b"\r\nCache-Control: max-age=60"))
        assert isinstance(candidate, Candidate)
        self.fetch = Fetches(1.0, clock.monotonic).begin("key", "http://a/", is_shared=True)
        self.recorder = Recorder(self.admission, self.fetch, candidate, self.config, length)

    def bodies(self) -> list[bytes]:
        return [entry.body for entry in self.store.entries()]


def test_a_body_of_known_length_is_stored_with_its_last_byte_before_that_goes_on() -> None:
    kept = Kept(4)

    kept.recorder.feed(b"ab")
    assert kept.bodies() == []
    kept.recorder.feed(b"cd")
    assert kept.bodies() == [b"abcd"]

    kept.recorder.close(ConnectionError())  # the client has it all, and leaves
    assert kept.bodies() == [b"abcd"]
    assert kept.fetch.entry is not None
    assert kept.admission.gathered == 0


def test_another_body_is_stored_at_its_end_alone() -> None:
    complete, cut = Kept(None), Kept(None)
    for kept in (complete, cut):
        kept.recorder.feed(b"ab")

    complete.recorder.finish(Headers())
    cut.recorder.close(ConnectionError())

    assert (complete.bodies(), cut.bodies()) == ([b"ab"], [])
    assert (complete.admission.gathered, cut.admission.gathered) == (0, 0)


@pytest.mark.parametrize("length", [None, 4])
def test_a_body_that_grows_over_the_limit_is_dropped_at_once(length: int | None) -> None:
    kept = Kept(length, max_body=3)

    kept.recorder.feed(b"abcd")

    assert (kept.bodies(), kept.admission.gathered) == ([], 0)
    assert kept.fetch.end is not None


def test_what_was_changed_meanwhile_is_not_stored() -> None:
    kept = Kept(2)
    kept.fetch.is_invalid = True

    kept.recorder.feed(b"ab")

    assert kept.bodies() == []


async def test_a_body_that_no_client_gets_counts_as_memory() -> None:
    admission = Kept(None, max_body=1000, memory={"size": 2000}).admission  # type: ignore[arg-type]
    response = Response(200, b"x" * 600)

    admission.gathered = 1400
    assert await admission.read(response) == b"x" * 600
    admission.gathered = 1401
    assert await admission.read(response) == "busy"
    assert admission.gathered == 1401
