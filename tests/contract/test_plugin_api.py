"""The plugin API has exactly these names and signatures: a plugin that keeps to them runs with every later version."""

from __future__ import annotations

import inspect
import re
from typing import Any

import gateway_plugin_sdk as sdk
import pytest
from gateway_plugin_sdk import Headers, Request, Response, UpstreamAttempt

SIGNATURES = {
    "Request.read": "async (self, limit: int = 1048576) -> bytes",
    "Request.set_body": "(self, data: bytes) -> None",
    "Request.add_body_filter": "(self, factory: Callable[[], BodyFilter], *, observe: bool = False) -> None",
    "Request.forward": "async (self) -> Response",
    "Request.detach": "(self) -> Request",
    "Request.abort": "(self, reason: str) -> None",
    "Response.read": "async (self, limit: int = 1048576) -> bytes",
    "Response.set_body": "(self, data: bytes) -> None",
    "Response.add_body_filter": "(self, factory: Callable[[], BodyFilter], *, observe: bool = False) -> None",
    "BodyFilter.feed": "(self, data: bytes) -> Output",
    "BodyFilter.flush": "(self) -> Output",
    "BodyFilter.finish": "(self, trailers: Headers) -> Output",
    "BodyFilter.close": "(self, error: Exception | None) -> Awaitable[None] | None",
    "Plugin.spawn": "(self, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]",
    "Plugin.once": "async (self, key: Hashable, factory: Callable[[], Awaitable[T]]) -> T",
    "Plugin.everywhere": "async (self, command: str, **arguments: Any) -> list[Any]",
    "Shared.get": "async (self, key: str) -> bytes | None",
    "Shared.put": "async (self, key: str, value: bytes, ttl: float | None = None) -> None",
    "Shared.add": "async (self, key: str, value: bytes, ttl: float | None = None) -> bool",
    "Shared.increment": "async (self, key: str, by: int = 1, ttl: float | None = None) -> int",
    "Shared.delete": "async (self, key: str) -> None",
    "command": "(*, role: Role) -> Callable[[FunctionT], FunctionT]",
    "Certificate": "(names: Sequence[str], chain: bytes, key: bytes) -> None",
    "Secret.reveal": "(self) -> str",
    "ConfigFile.read_bytes": "(self) -> bytes",
    "ConfigFile.read_text": "(self, encoding: str = 'utf-8') -> str",
}

ATTRIBUTES = {
    "Request": "method path raw_path query_string query path_params headers received upgrade upstream",
    "Response": "status reason headers body has_body failure produced_by",
    "UpstreamAttempt": "endpoint raw_path query_string host headers",
    "Plugin": "name config_model config_schema responses provides needs shared",
    "UpstreamError": "status reason",
    "ConfigFile": "path",
}

MADE: dict[str, Any] = {
    "Request": Request("GET", "/a?b=c"),
    "Response": Response(),
    "UpstreamAttempt": UpstreamAttempt("http://a", "/", "", "a", Headers()),
    "UpstreamError": sdk.UpstreamError("gone", reason="upstream.reset"),
    "Plugin": sdk.Plugin,
    "ConfigFile": sdk.ConfigFile,
}

FACTORIES = {
    "DiscoveryFactory": ("config", "context"),
    "SourceFactory": ("url", "context"),
    "StrategyFactory": ("config",),
    "CertificateFactory": ("config", "context"),
}


def signature_of(path: str) -> str:
    found: Any = sdk
    for name in path.split("."):
        found = getattr(found, name)
    # Annotations are texts; the quotes around them say nothing.
    text = re.sub(r"(: |-> )'([^']*)'", r"\1\2", str(inspect.signature(found)))
    return f"async {text}" if inspect.iscoroutinefunction(found) else text


@pytest.mark.parametrize("path", SIGNATURES)
def test_a_function_of_the_api_has_this_signature(path: str) -> None:
    assert signature_of(path) == SIGNATURES[path]


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_a_thing_of_the_api_has_these_attributes(name: str) -> None:
    missing = [each for each in ATTRIBUTES[name].split() if not hasattr(MADE[name], each)]

    assert missing == []


@pytest.mark.parametrize("name", FACTORIES)
def test_a_factory_is_called_with_these_arguments(name: str) -> None:
    parameters = inspect.signature(getattr(sdk, name).__call__).parameters

    assert tuple(parameters)[1:] == FACTORIES[name]


@pytest.mark.parametrize("attribute", ["path", "query", "received"])
def test_what_is_read_only_of_a_request_cannot_be_set(attribute: str) -> None:
    with pytest.raises(AttributeError):
        setattr(Request("GET", "/"), attribute, "x")


@pytest.mark.parametrize("attribute", ["method", "target", "headers"])
def test_the_received_head_cannot_be_changed(attribute: str) -> None:
    received = Request("GET", "/").received

    with pytest.raises(TypeError):
        setattr(received, attribute, "x")
    with pytest.raises(TypeError):
        received.headers["a"] = "b"


@pytest.mark.parametrize("attribute", ["endpoint", "raw_path", "query_string", "host"])
def test_what_an_attempt_sends_to_is_final(attribute: str) -> None:
    with pytest.raises(TypeError):
        setattr(UpstreamAttempt("http://a", "/", "", "a", Headers()), attribute, "x")


def test_the_path_follows_what_raw_path_is_set_to() -> None:
    request = Request("GET", "/a")

    request.raw_path = "/b%63;v=1"

    assert (request.path, request.raw_path) == ("/bc", "/b%63;v=1")


def test_responses_are_entered_unless_a_plugin_says_all() -> None:
    assert sdk.Plugin.responses == "entered"
    assert sdk.Plugin.provides == sdk.Plugin.needs == frozenset()


def test_every_error_of_the_api_is_a_gateway_error() -> None:
    errors = [value for name in sdk.__all__ if inspect.isclass(value := getattr(sdk, name)) and name.endswith("Error")]

    assert {each.__name__ for each in errors if not issubclass(each, sdk.GatewayError)} <= {"HeaderError"}
    assert issubclass(sdk.SharedStoreFull, sdk.GatewayError)
