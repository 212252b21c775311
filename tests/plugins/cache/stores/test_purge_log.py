"""Which responses are purged, by the order of purges and fetches."""

from __future__ import annotations

import pytest
from gateway_plugin_cache.config import CacheConfig
from gateway_plugin_cache.entries import NEVER, Entry, Stamp
from gateway_plugin_cache.freshness import policy_of
from gateway_plugin_cache.purging import PurgeSelector
from gateway_plugin_cache.stores.purge_log import MOST_RECORDS, PurgeLog, PurgeRecord
from gateway_plugin_sdk import Headers

POLICY = policy_of(Headers(), 200, 0.0, CacheConfig())


def entry(seen: Stamp, url: str = "http://a/x") -> Entry:
    return Entry(url, (), (), 200, Headers(), b"", POLICY, 0.0, frozenset({"t"}), False, seen)


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (PurgeRecord(("http://a/x",)), "purged"),
        (PurgeRecord(("http://a/y",)), "good"),
        (PurgeRecord(purged=PurgeSelector(url="/x")), "purged"),
        (PurgeRecord(purged=PurgeSelector(tag="t")), "purged"),
        (PurgeRecord(purged=PurgeSelector(tag="u")), "good"),
        (PurgeRecord(purged=PurgeSelector(prefix="/"), soft=True), "soft"),
        (PurgeRecord(purged=PurgeSelector()), "purged"),
    ],
)
def test_a_purge_is_for_what_was_fetched_before_it(record: PurgeRecord, expected: str) -> None:
    log = PurgeLog()
    log.add((5, 1), record)

    assert log.verdict(entry((5, 0))) == expected
    assert log.verdict(entry((5, 1))) == "good"
    assert PurgeRecord.decode(record.encode()) == record


def test_a_soft_purge_and_another_one_purge() -> None:
    log = PurgeLog()
    log.add((1, 0), PurgeRecord(purged=PurgeSelector(tag="t"), soft=True))
    log.add((2, 0), PurgeRecord(purged=PurgeSelector(tag="t")))

    assert [log.verdict(entry(seen)) for seen in ((0, 0), (1, 0), (2, 0))] == ["purged", "purged", "good"]


def test_what_is_older_than_the_known_purges_counts_as_purged_and_so_does_the_future() -> None:
    log = PurgeLog()
    for number in range(1, MOST_RECORDS + 2):
        log.add((number, 0), PurgeRecord((f"http://a/{number}",)))

    assert [log.verdict(entry(seen)) for seen in (NEVER, (1, 0), (2**60, 0))] == ["purged", "good", "purged"]

    log.reset((20_000, 0))
    assert [log.verdict(entry(seen)) for seen in ((19_999, 0), (20_000, 0))] == ["purged", "good"]


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"x", b"[" * 100_000, b"x" * 70_000, b"{}", b'{"urls": [1], "purged": null, "soft": false}',
     b'{"urls": [], "purged": [1, 2, 3], "soft": false}', b'{"urls": [], "purged": ["a"], "soft": false}'],
)  # fmt: skip
def test_a_record_that_cannot_be_read_purges_everything(data: bytes) -> None:
    assert PurgeRecord.decode(data) == PurgeRecord(purged=PurgeSelector())
