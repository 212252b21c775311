from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import pytest
from gateway_core.config import ConfigFinding
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Request
from gateway_core.testing import assert_plugin_ok
from gateway_plugin_auth import Auth
from gateway_plugin_logger import Logger
from gateway_plugin_ratelimit import RateLimit


class Misspelt(Plugin[None]):
    """Has a hook that there is not."""

    name = "misspelt"

    @hookimpl
    def gateway_preproxy(self, request: Request) -> None: ...


class Open(Plugin[dict[str, Any]]):
    """Takes unknown keys."""

    name = "open"
    config_schema: ClassVar[dict[str, Any]] = {"type": "object", "properties": {"a": {}}}

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> None: ...


SHARED: list[str] = []


class Sharing(Plugin[None]):
    """Counts over all bindings."""

    name = "sharing"
    seen: ClassVar[dict[str, int]] = {}

    async def start(self) -> None:
        self.list = SHARED

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> None:
        self.seen[request.path] = 1


class Unstoppable(Plugin[None]):
    """Does not stop."""

    name = "unstoppable"

    async def stop(self) -> None:
        raise RuntimeError("not me")

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> None: ...


class Shouting(Plugin[None]):
    """Gives a code that is none."""

    name = "shouting"

    @classmethod
    def check_config(cls, config: None) -> Iterable[ConfigFinding]:
        yield ConfigFinding((), "is loud: speak low", code="Too Loud", severity="warning")

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> None: ...


class Clumsy(Shouting):
    """Fails on its configuration."""

    name = "clumsy"

    @classmethod
    def check_config(cls, config: None) -> Iterable[ConfigFinding]:
        raise KeyError("dropped")


class Idle(Plugin[None]):
    name = "idle"


@pytest.mark.parametrize(
    ("plugin", "found"),
    [
        (Misspelt, "did you mean gateway_pre_proxy"),
        (Open, "takes unknown keys"),
        (Open, "its schema accepts the unknown key"),
        (Sharing, "requests of one binding change attributes of the class"),
        (Sharing, "share the very same self.list"),
        (Unstoppable, "failed to stop: RuntimeError: not me"),
        (Shouting, "check_config gives the code 'Too Loud'"),
        (Clumsy, "check_config fails on the configuration .*dropped"),
        (Idle, "it has no hook"),
        (Idle, "it has no docstring"),
    ],
)
def test_what_is_not_in_order_is_named(plugin: type[Plugin[Any]], found: str) -> None:
    with pytest.raises(AssertionError, match=found):
        assert_plugin_ok(plugin)


def test_a_hook_that_raises_is_named(broken: Any) -> None:
    with pytest.raises(AssertionError, match="raised LookupError: nothing there"):
        assert_plugin_ok(broken)


def test_a_hook_that_blocks_is_named_with_its_place(sleeper: Any) -> None:
    with pytest.raises(AssertionError, match=r"blocks the event loop .*conftest\.py"):
        assert_plugin_ok(sleeper)


def test_a_configuration_that_does_not_fit_is_named(greeter: Any) -> None:
    with pytest.raises(AssertionError, match="its schema refuses the configuration"):
        assert_plugin_ok(greeter, {"whom": 5})


def test_a_class_whose_entry_point_has_another_name_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RateLimit, "name", "limits")

    with pytest.raises(AssertionError, match="the class is named 'limits', its entry point 'ratelimit'"):
        assert_plugin_ok(RateLimit, {"rate": 1})


@pytest.mark.parametrize(
    ("plugin", "config"),
    [
        (Auth, {"secret": "a secret that is long enough for HS256", "algorithms": ["HS256"]}),
        (RateLimit, {"rate": 1000, "burst": 1000}),
        (Logger, {"format": "json"}),
    ],
)
def test_our_own_plugins_are_in_order(plugin: type[Plugin[Any]], config: dict[str, Any]) -> None:
    assert_plugin_ok(plugin, config)
