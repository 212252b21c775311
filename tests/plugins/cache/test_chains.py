"""The cache between other plugins, over both protocols."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from gateway_plugin_sdk.testing import eventually

from tests.plugins.cache.conftest import CachedRoute

TEXT = "a text that is worth compressing " * 100
FIELDS = [("Cache-Control", "max-age=60"), ("Content-Type", "text/plain"), ("ETag", '"1"')]
GZIP = {"Accept-Encoding": "gzip"}


def test_one_stored_response_serves_all_codings_that_a_plugin_before_the_cache_makes(cached: CachedRoute) -> None:
    route = cached(before=[{"name": "compress"}])
    route.upstream.answer_with(200, TEXT, FIELDS)

    first, plain, zipped = route.get("/", GZIP), route.get("/"), route.get("/", GZIP)

    assert len(route.upstream.requests) == 1
    assert plain.body == TEXT.encode()
    assert [gzip.decompress(each.body) for each in (first, zipped)] == [TEXT.encode()] * 2
    assert "hit" in zipped.headers["cache-status"]


def test_what_a_plugin_behind_the_cache_compressed_is_stored_for_each_coding(cached: CachedRoute) -> None:
    route = cached(behind=[{"name": "compress"}])
    route.upstream.answer_with(200, TEXT, FIELDS)

    replies = [route.get("/", headers) for headers in (GZIP, {}, GZIP, {})]

    assert len(route.upstream.requests) == 2
    assert gzip.decompress(replies[2].body) == replies[3].body == TEXT.encode()
    assert [each.headers.get("content-encoding") for each in replies] == ["gzip", None, "gzip", None]


def test_the_logger_logs_a_hit_as_a_response_without_an_attempt(cached: CachedRoute, tmp_path: Path) -> None:
    file = tmp_path / "access.log"
    logger = {"name": "logger", "config": {"sinks": [{"type": "file", "path": str(file)}]}}
    route = cached(before=[logger, {"name": "compress"}])
    route.upstream.answer_with(200, TEXT, FIELDS)
    for _ in range(2):
        route.get("/", GZIP)

    def lines() -> list[str]:
        return file.read_text().splitlines() if file.exists() else []

    eventually(lambda: len(lines()) == 2)
    assert [json.loads(line)["status"] for line in lines()] == [200, 200]
    assert len(route.upstream.requests) == 1
