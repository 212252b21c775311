from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from gateway_core.hooks import (
    Binding,
    Plugin,
    Suspended,
    build_chain,
    start_attempt_phase,
    start_log_phase,
    start_phase,
    start_response_phase,
)
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Headers, Identity, Record, Request, Response, UpstreamAttempt

Bind = Callable[..., Binding]
Counted = Callable[..., float]


class Meddling(Plugin[Any]):
    """Changes whatever it can, and responses if it is told to."""

    name = "meddling"
    response: object = None

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> object:
        request.method, request.raw_path, request.query_string = "POST", "/other", "x"
        request.headers["x-new"] = "1"
        request.upstream = "other"
        request.identity = Identity("somebody")
        request.state["meddling.seen"] = True
        return self.response

    @hookimpl
    def gateway_response(self, request: Request, response: Response) -> object:
        response.status = 500
        response.headers["x-new"] = "1"
        return self.response

    @hookimpl
    def gateway_log(self, request: Request) -> None:
        self.logged = request.state["meddling.seen"], request.state.get("another.seen")


class MeddlingLater(Meddling):
    name = "meddling-later"

    @hookimpl
    async def gateway_pre_proxy(self, request: Request) -> object:
        return super().gateway_pre_proxy(request)


@pytest.mark.parametrize("plugin", [Meddling, MeddlingLater])
async def test_nothing_of_what_a_shadow_does_to_a_request_takes_effect(
    bind: Bind, request_: Request, counted: Counted, plugin: type[Meddling]
) -> None:
    before = [request_.method, request_.path, request_.query_string, request_.headers_key]

    outcome = start_phase(build_chain([bind(plugin, is_shadow=True)]).pre_proxy, request_)
    stop = await outcome.finish() if isinstance(outcome, Suspended) else outcome

    assert stop is None
    assert [request_.method, request_.path, request_.query_string, request_.headers_key] == before
    assert (request_.upstream, request_.identity) == (None, None)
    assert counted("gateway_plugin_shadow", decision="change") == 1


@pytest.mark.parametrize("plugin", [Meddling, MeddlingLater])
async def test_what_a_shadow_would_have_responded_is_counted_and_logged(
    bind: Bind, request_: Request, counted: Counted, caplog: pytest.LogCaptureFixture, plugin: type[Meddling]
) -> None:
    caplog.set_level("INFO")
    binding = bind(plugin, is_shadow=True)
    binding.instance.response = Response(403)  # type: ignore[attr-defined]

    outcome = start_phase(build_chain([binding]).pre_proxy, request_)
    stop = await outcome.finish() if isinstance(outcome, Suspended) else outcome

    assert stop is None
    assert counted("gateway_plugin_shadow", decision="response", phase="gateway_pre_proxy") == 1
    assert "would have: response 403" in caplog.text


def test_a_shadow_works_on_a_copy_of_the_responses_head(bind: Bind, request_: Request, counted: Counted) -> None:
    response = Response(200, headers={"a": "b"})

    assert start_response_phase(build_chain([bind(Meddling, is_shadow=True)]).response, request_, response) is response

    assert (response.status, list(response.headers)) == (200, ["a"])
    assert counted("gateway_plugin_shadow", decision="change", phase="gateway_response") == 1


async def test_a_shadow_finds_its_own_state_again_and_that_of_others_who_do_not_see_its_own(
    bind: Bind, request_: Request
) -> None:
    shadow = bind(Meddling, is_shadow=True)
    chain = build_chain([shadow, bind(MeddlingLater, is_shadow=True)])
    request_.state["another.seen"] = 1

    outcome = start_phase(chain.pre_proxy, request_)
    assert isinstance(outcome, Suspended)
    await outcome.finish()
    start_log_phase(chain.log, request_, Response(), Record())

    assert shadow.instance.logged == (True, 1)  # type: ignore[attr-defined]
    assert "meddling.seen" not in request_.state


@pytest.mark.parametrize("what", ["raise", "wrong"])
def test_a_shadow_that_fails_is_counted_and_denies_nothing(
    bind: Bind, request_: Request, counted: Counted, what: str
) -> None:
    class Failing(Plugin[Any]):
        name = "failing"

        @hookimpl
        def gateway_pre_proxy(self) -> object:
            if what == "raise":
                raise ValueError
            return 1

    assert start_phase(build_chain([bind(Failing, is_shadow=True, on_error="deny")]).pre_proxy, request_) is None
    assert counted("gateway_plugin_errors") == 1


def test_a_shadow_that_decides_nothing_is_counted_as_such(bind: Bind, request_: Request, counted: Counted) -> None:
    class Idle(Plugin[Any]):
        name = "idle"

        @hookimpl
        def gateway_pre_proxy(self) -> None: ...

    start_phase(build_chain([bind(Idle, is_shadow=True)]).pre_proxy, request_)

    assert counted("gateway_plugin_shadow", decision="none") == 1


class Signs(Plugin[Any]):
    name = "signs"

    @hookimpl
    def gateway_attempt(self, attempt: UpstreamAttempt) -> None:
        attempt.headers["x-signature"] = attempt.raw_path


def test_an_attempt_stays_as_it_is(bind: Bind) -> None:
    binding = bind(Signs, is_shadow=True)
    attempt = UpstreamAttempt("e", "/a", "", "h", Headers())

    assert start_attempt_phase(build_chain([binding]).attempt, Request("GET", "/a"), attempt) is None

    assert attempt.headers.items() == []
    assert binding.faults.count == 0


class Pieces:
    """A body that records whether it was closed."""

    def __init__(self) -> None:
        self.is_closed = False

    def __aiter__(self) -> Pieces:
        return self

    async def __anext__(self) -> bytes:
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self.is_closed = True


@pytest.mark.parametrize("plugin", [Meddling, MeddlingLater])
async def test_an_iterator_that_a_shadow_would_have_sent_is_closed(
    bind: Bind, request_: Request, plugin: type[Meddling]
) -> None:
    binding, body, returned, own = bind(plugin, is_shadow=True), Pieces(), Pieces(), Pieces()
    binding.instance.response = Response(200, body)  # type: ignore[attr-defined]
    chain = build_chain([binding])

    outcome = start_phase(chain.pre_proxy, request_)
    assert isinstance(outcome, Suspended)
    await outcome.finish()
    binding.instance.response = Response(200, returned)  # type: ignore[attr-defined]
    later = start_response_phase(chain.response, request_, Response(200, own))
    assert isinstance(later, Suspended)
    await later.finish()

    assert (body.is_closed, returned.is_closed, own.is_closed) == (True, True, False)


async def test_an_iterator_that_a_shadow_assigned_is_closed_and_the_one_that_is_sent_is_not(
    bind: Bind, request_: Request
) -> None:
    assigned, own = Pieces(), Pieces()

    class Assigning(Plugin[Any]):
        name = "assigning"

        @hookimpl
        def gateway_response(self, response: Response) -> None:
            response.body = assigned

    outcome = start_response_phase(
        build_chain([bind(Assigning, is_shadow=True)]).response, request_, Response(200, own)
    )
    assert isinstance(outcome, Suspended)
    await outcome.finish()

    assert (assigned.is_closed, own.is_closed) == (True, False)
