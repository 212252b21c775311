"""What requests and responses can be asked to do, in the test kit."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from gateway_core.errors import BodyTooLargeError
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import BodyFilter, Record, Request, Response
from gateway_core.testing import PluginHarness
from gateway_core.testing.loop_thread import eventually


class Upper(BodyFilter):
    def feed(self, data: bytes) -> bytes:
        return data.upper()


class Bodies(Plugin[Any]):
    name = "bodies"

    @hookimpl
    async def gateway_pre_proxy(self, request: Request) -> Response | None:
        match request.path:
            case "/filter":
                request.add_body_filter(Upper)
            case "/read":
                request.add_body_filter(Upper)
                request.state["bodies.read"] = await request.read()
            case "/set":
                request.set_body(b"other")
            case "/caught":
                with pytest.raises(BodyTooLargeError):
                    await request.read(2)
                request.add_body_filter(Upper)
            case "/too-large":
                await request.read(2)
            case "/abort":
                request.abort("quota.over")
                await request.read()
            case "/wrong":
                request.abort("Not A Code")
        return None

    @hookimpl
    def gateway_response(self, response: Response) -> None:
        response.add_body_filter(Upper)


@pytest.mark.parametrize(
    ("path", "sent"),
    [("/", b"abcd"), ("/filter", b"ABCD"), ("/read", b"ABCD"), ("/set", b"other"), ("/caught", b"ABCD")],
)
def test_bodies_go_upstream_as_hooks_leave_them(path: str, sent: bytes) -> None:
    with PluginHarness(Bodies) as harness:
        for body in (b"abcd", [b"ab", b"cd"]):
            result = harness.request("POST", path, body=body, upstream_response=Response(200, b"said"))

            assert (result.sent_body, result.response.body) == (sent, b"SAID")


def test_a_body_over_a_hooks_limit_is_413_unless_it_is_caught() -> None:
    with PluginHarness(Bodies) as harness:
        result = harness.request("POST", "/too-large", body=b"abcd")

        assert (result.response.status, result.response.failure) == (413, "body-too-large")
        assert harness.plugin.context is not None


def test_abort_ends_the_request_with_its_reason() -> None:
    with PluginHarness(Bodies) as harness:
        result = harness.request("POST", "/abort", body=b"abcd")

        assert (result.record.reason, result.record.aborted, result.attempt) == ("quota.over", "gateway", None)
        assert harness.request("POST", "/wrong").response.status == 500


class Forwards(Plugin[Any]):
    name = "forwards"
    seen: ClassVar[list[str]] = []

    @hookimpl
    async def gateway_pre_proxy(self, request: Request) -> Response | None:
        if request.path == "/detach":
            body = await request.read()
            copied = request.detach()
            response = await copied.forward()
            with pytest.raises(RuntimeError):
                await copied.forward()
            return Response(200, body + await response.read())
        if request.path == "/unread":
            request.detach()
        response = await request.forward()
        if request.path == "/again":
            await request.forward()
        if request.path == "/fail":
            raise ValueError("boom")
        if request.path == "/own":
            return Response(299, await response.read() + b"!")
        return None

    @hookimpl
    async def gateway_response(self, request: Request, response: Response) -> None:
        if request.path == "/late":
            await request.forward()
        response.headers["x-outer"] = response.headers.get("x-inner", "none")


class Inner(Plugin[Any]):
    name = "inner"

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> Response | None:
        return Response(403) if request.path == "/denied" else None

    @hookimpl
    def gateway_response(self, response: Response) -> None:
        response.headers["x-inner"] = "1"


def forwarded(path: str, **options: Any) -> Any:
    with PluginHarness(Forwards, behind=(Inner,), **options) as harness:
        return harness.request("POST", path, body=b"abc", upstream_response=Response(200, b"said"))


def test_a_forwarded_response_has_passed_the_later_bindings_and_is_sent_unless_another_is_returned() -> None:
    plain, own, denied = forwarded("/"), forwarded("/own"), forwarded("/denied")

    assert (plain.response.status, plain.response.body, plain.response.headers["x-outer"]) == (200, b"said", "1")
    assert (own.response.status, own.response.body, own.response.headers["x-outer"]) == (299, b"said!", "none")
    assert (denied.response.status, denied.attempt) == (403, None)


@pytest.mark.parametrize(("path", "status"), [("/again", 500), ("/late", 500), ("/unread", 500), ("/fail", 500)])
def test_forward_and_detach_at_the_wrong_time_are_failures(path: str, status: int) -> None:
    assert forwarded(path).response.status == status


def test_if_a_hook_fails_behind_forward_continue_sends_what_was_forwarded() -> None:
    result = forwarded("/fail", binding={"on_error": "continue"})

    assert (result.response.status, result.response.body) == (200, b"said")


def test_a_detached_copy_may_be_forwarded_once() -> None:
    assert forwarded("/detach").response.body == b"abcsaid"


class Detaches(Plugin[Any]):
    name = "detaches"

    @hookimpl
    async def gateway_pre_proxy(self, request: Request) -> Response:
        await request.read()
        response = await request.detach().forward()
        return Response(299, headers=response.headers)

    @hookimpl
    def gateway_response(self, response: Response) -> None:
        response.headers.add("x-seen", "outer")


class Behind(Plugin[Any]):
    name = "behind"

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> Response | None:
        return Response(403) if "x-denied" in request.headers else None

    @hookimpl
    def gateway_response(self, response: Response) -> None:
        response.headers.add("x-seen", "inner")


@pytest.mark.parametrize("fields", [{}, {"x-denied": "1"}])
def test_a_detached_copy_runs_the_hooks_behind_the_one_that_made_it(fields: dict[str, str]) -> None:
    with PluginHarness(Detaches, behind=(Behind,)) as harness:
        result = harness.request("POST", "/", body=b"abc", headers=fields, upstream_response=Response(200, b"said"))

    assert result.response.status == 299
    assert result.response.headers.get_all("x-seen") == ["inner", "outer"]


class Copies(Plugin[Any]):
    name = "copies"
    records: ClassVar[list[tuple[str, int, int, int]]] = []

    @hookimpl
    async def gateway_pre_proxy(self, request: Request) -> Response:
        body = await request.read()
        copied = request.detach()
        if request.path == "/unsent":
            return Response(299)
        if request.path == "/later":
            self.spawn(self._send(copied))
            return Response(299)
        response = await copied.forward()
        return Response(299, body + await response.read() if request.path == "/read" else b"")

    async def _send(self, copied: Request) -> None:
        await (await copied.forward()).read()

    @hookimpl
    def gateway_log(self, request: Request, response: Response, record: Record) -> None:
        self.records.append((request.path, response.status, record.bytes_received, record.bytes_sent))


@pytest.mark.parametrize(
    ("path", "copies"), [("/read", [("/read", 200, 3, 4)]), ("/dropped", [("/dropped", 200, 3, 0)]), ("/unsent", [])]
)
def test_a_detached_copy_has_a_log_record_of_its_own(path: str, copies: list[tuple[str, int, int, int]]) -> None:
    Copies.records.clear()
    with PluginHarness(Copies) as harness:
        result = harness.request("POST", path, body=b"abc", upstream_response=Response(200, b"said"))

    sent = len(result.response.body) if isinstance(result.response.body, bytes) else 0
    assert sorted(Copies.records) == sorted([(path, 299, 3, sent), *copies])
    assert [(each.bytes_received, each.bytes_sent) for each in result.detached] == [each[2:] for each in copies]


def test_a_copy_that_is_sent_in_the_background_is_logged_when_it_is_over() -> None:
    Copies.records.clear()
    with PluginHarness(Copies) as harness:
        harness.request("POST", "/later", body=b"abc", upstream_response=Response(200, b"said"))
        eventually(lambda: len(Copies.records) == 2)

    assert sorted(Copies.records) == [("/later", 200, 3, 4), ("/later", 299, 3, 0)]


def test_in_shadow_mode_bodies_stay_and_forward_ends_the_hook_silently() -> None:
    with PluginHarness(Bodies, binding={"mode": "shadow"}) as harness:
        for path in ("/filter", "/set", "/abort"):
            result = harness.request("POST", path, body=b"abcd", upstream_response=Response(200, b"said"))

            assert (result.sent_body, result.response.body, result.record.aborted) == (b"abcd", b"said", None)

    with PluginHarness(Forwards, binding={"mode": "shadow"}) as other:
        for path in ("/", "/detach"):
            result = other.request("POST", path, body=b"abcd", upstream_response=Response(200, b"said"))

            assert (result.response.status, result.response.body) == (200, b"said")
        assert other.logs == []
