from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from gateway_core.clock import SystemClock
from gateway_core.config import ConfigModel, ListenConfig
from gateway_core.errors import GatewayError
from gateway_core.hooks import Certificate, CertificateContext, IssuanceStatus, ServedHosts
from gateway_core.process.certificate_feeds import CertificateFeeds


class Options(ConfigModel):
    name: str = "a.test"


class Scripted:
    """Yields what the test says, and fails when it says an exception."""

    config_model = Options
    made: list[Scripted] = []

    def __init__(self, config: Options, context: CertificateContext) -> None:
        self.config, self.context = config, context
        self.steps: asyncio.Queue[Sequence[Certificate] | Exception] = asyncio.Queue()
        self.steps.put_nowait([certificate(config.name, 1)])
        self.is_closed = asyncio.Event()
        self.made.append(self)

    async def certificates(self) -> AsyncIterator[Sequence[Certificate]]:
        try:
            while True:
                step = await self.steps.get()
                if isinstance(step, Exception):
                    raise step
                yield step
        except asyncio.CancelledError:
            self.is_closed.set()
            raise


def certificate(name: str, number: int) -> Certificate:
    return Certificate([name], b"chain %d" % number, b"key %d" % number)


def listen(*names: str, kind: str = "scripted", address: str = "127.0.0.1:1") -> ListenConfig:
    entries = [{"name": kind, "config": {"name": name}} for name in names]
    return ListenConfig.model_validate({"address": address, "tls": {"certificates": entries}})


@pytest.fixture
def changes() -> asyncio.Queue[str]:
    return asyncio.Queue()


@pytest.fixture
async def feeds(changes: asyncio.Queue[str]) -> AsyncIterator[CertificateFeeds]:
    def no_session() -> Any:
        raise AssertionError("nothing is connected")

    Scripted.made = []
    feeds = CertificateFeeds(SystemClock(), no_session, changes.put_nowait)
    feeds.extend({"scripted": Scripted})
    yield feeds
    await feeds.aclose()


async def test_a_listener_has_what_its_sources_yielded_last(
    feeds: CertificateFeeds, changes: asyncio.Queue[str]
) -> None:
    config = listen("a.test", "b.test")

    await feeds.open([config])

    assert [each.names for each in feeds.certificates_of(config)] == [["a.test"], ["b.test"]]
    assert Scripted.made[0].context.listener == "127.0.0.1:1"
    while not changes.empty():
        changes.get_nowait()
    Scripted.made[1].steps.put_nowait([certificate("b.test", 2)])
    assert await changes.get() == "127.0.0.1:1"
    assert [each.chain for each in feeds.certificates_of(config)] == [b"chain 1", b"chain 2"]


async def test_a_source_that_fails_is_asked_again_and_what_it_yielded_stays(
    feeds: CertificateFeeds, changes: asyncio.Queue[str], caplog: pytest.LogCaptureFixture
) -> None:
    config = listen("a.test")
    await feeds.open([config])
    await changes.get()
    source = Scripted.made[0]

    source.steps.put_nowait(ValueError("the authority is away"))
    source.steps.put_nowait([certificate("a.test", 1)])
    source.steps.put_nowait([certificate("a.test", 3)])
    await asyncio.wait_for(changes.get(), 30)

    assert "certificates 'scripted' of listener 127.0.0.1:1: the authority is away" in caplog.text
    assert [each.chain for each in feeds.certificates_of(config)] == [b"chain 3"]


async def test_sources_are_kept_over_configurations_and_end_with_their_entry(feeds: CertificateFeeds) -> None:
    await feeds.open([listen("a.test", "b.test")])
    await feeds.open([listen("a.test", "c.test")])
    await feeds.keep_only([listen("a.test", "c.test")])

    first, second, third = Scripted.made
    assert [each.config.name for each in (first, second, third)] == ["a.test", "b.test", "c.test"]
    await asyncio.wait_for(second.is_closed.wait(), 30)
    assert not first.is_closed.is_set()
    assert not third.is_closed.is_set()


async def test_what_nothing_offers_or_refuses_its_configuration_is_an_error(feeds: CertificateFeeds) -> None:
    with pytest.raises(GatewayError, match="no installed extension offers them"):
        await feeds.open([listen("a.test", kind="acme")])
    odd = {"address": ":1", "tls": {"certificates": [{"name": "scripted", "config": {"nmae": "x"}}]}}
    with pytest.raises(GatewayError, match="unknown key"):
        await feeds.open([ListenConfig.model_validate(odd)])


def test_a_private_key_is_not_shown() -> None:
    assert "key 1" not in repr(certificate("a.test", 1))


class Responding(Scripted):
    """Responds to challenges, and gets certificates on demand."""

    async def key_authorization(self, token: str) -> str | None:
        if token == "broken":
            raise OSError("the storage is away")
        return f"{token}.{self.config.name}" if token == self.config.name else None

    async def challenge_certificate(self, server_name: str) -> Certificate | None:
        return certificate(server_name, 9) if server_name == self.config.name else None

    def provide(self, server_name: str) -> asyncio.Future[None] | None:
        if server_name == "broken":
            raise OSError("the storage is away")
        return asyncio.get_running_loop().create_future() if server_name == self.config.name else None


async def test_the_source_that_knows_a_challenge_responds(
    feeds: CertificateFeeds, caplog: pytest.LogCaptureFixture
) -> None:
    feeds.extend({"responding": Responding})
    await feeds.open([listen("a.test", "b.test")])
    before = feeds.challenge_hook
    await feeds.open([listen("a.test", "b.test", kind="responding")])

    hook = feeds.challenge_hook
    assert (before, hook is not None, feeds.challenge_hook is hook) == (None, True, True)
    assert await feeds.key_authorization("b.test") == "b.test.b.test"
    assert await feeds.key_authorization("c.test") is None
    assert await feeds.challenge_certificate("b.test") == certificate("b.test", 9)
    assert await feeds.challenge_certificate("c.test") is None
    assert await feeds.key_authorization("broken") is None
    assert "failed to respond to a challenge" in caplog.text


async def test_a_source_of_the_address_is_asked_for_certificates_on_demand(feeds: CertificateFeeds) -> None:
    feeds.extend({"responding": Responding})
    await feeds.open([listen("a.test", kind="responding")])

    assert feeds.provide("127.0.0.1:1", "a.test") is not None
    assert feeds.provide("127.0.0.1:2", "a.test") is None
    assert feeds.provide("127.0.0.1:1", "b.test") is None
    assert feeds.provide("127.0.0.1:1", "broken") is None


async def test_a_source_goes_on_and_learns_what_its_listeners_serve(feeds: CertificateFeeds) -> None:
    first, second = ServedHosts(("a.test",)), ServedHosts(("b.test",))
    config = [listen("a.test")]
    await feeds.open(config, lambda _: first)
    (source,) = Scripted.made
    assert source.context.hosts.current == first

    await feeds.open(config, lambda _: second)
    assert source.context.hosts.current == first
    await feeds.put_in_force(config, lambda _: second)

    await asyncio.wait_for(source.context.hosts.changed(), 30)
    assert source.context.hosts.current == second
    assert Scripted.made == [source]


class Ordering(Scripted):
    """Reports how it gets its certificate, unless it is for the name that it fails on."""

    def issuance(self) -> Sequence[IssuanceStatus]:
        if self.config.name == "bad.test":
            raise ValueError("a fault of the extension")
        return [IssuanceStatus([self.config.name], last_success=1.0)]


async def test_sources_that_order_report_how_it_goes_and_one_that_fails_hides_no_other(feeds: CertificateFeeds) -> None:
    feeds.extend({"ordering": Ordering})
    await feeds.open([listen("bad.test", "a.test", kind="ordering"), listen("c.test", address="127.0.0.1:2")])

    assert feeds.issuance() == [("127.0.0.1:1", IssuanceStatus(["a.test"], last_success=1.0))]
