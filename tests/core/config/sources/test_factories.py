from __future__ import annotations

from collections.abc import AsyncIterator
from random import Random

import pytest
from gateway_core.clock import SystemClock
from gateway_core.config.sources import SourceContext, SourceState, SourceUrl, UnknownSourceError, make_source
from gateway_core.config.sources.http_source import HttpSource


def no_session() -> None:
    raise AssertionError("nothing is to be connected yet")


CONTEXT = SourceContext(SystemClock(), Random(1), {}, no_session)  # type: ignore[arg-type]


class Mine:
    def __init__(self, url: SourceUrl, context: SourceContext) -> None:
        self.url = url

    async def documents(self) -> AsyncIterator[SourceState]:
        yield SourceState(())


def test_the_scheme_decides() -> None:
    extensions = {"mine": Mine, "http": Mine}

    assert isinstance(make_source(SourceUrl.parse("mine://h/x"), CONTEXT, extensions), Mine)
    assert isinstance(make_source(SourceUrl.parse("https://h/x"), CONTEXT, extensions), HttpSource)
    assert isinstance(make_source(SourceUrl.parse("http://127.0.0.1/x"), CONTEXT, extensions), HttpSource)


def test_an_unknown_scheme_says_what_there_is() -> None:
    with pytest.raises(UnknownSourceError, match="'etcd' is no source of configuration: known are http, https, mine"):
        make_source(SourceUrl.parse("etcd://h/x"), CONTEXT, {"mine": Mine})
