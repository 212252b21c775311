from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest
from gateway_core.hooks import Binding, Plugin
from gateway_core.hooks.commands import Command, as_json, command, commands_of, run_command
from gateway_core.hooks.hook_inspection import PluginDefectError
from pydantic import BaseModel, Field


class Item(BaseModel):
    name: str


@dataclass
class Found:
    count: int


class Store(Plugin[Any]):
    name = "store"

    @command(role="operator")
    async def purge(self, key: str, *, count: Annotated[int, Field(gt=0)] = 1, items: list[Item] | None = None) -> Any:
        return {"key": key, "count": count, "items": items}

    @command(role="viewer")
    def status(self, kind: Literal["short", "long"] = "short") -> Found:
        return Found(len(kind))

    @command(role="viewer")
    async def fail(self, how: str) -> Any:
        if how == "exit":
            raise SystemExit(1)
        if how == "hang":
            await asyncio.Event().wait()
        if how == "object":
            return object()
        if how == "nan":
            return float("nan")
        raise KeyError(how)


class Inherits(Store):
    name = "inherits"


@pytest.fixture
def store(bind: Callable[..., Binding]) -> Plugin[Any]:
    return bind(Store, "s").instance


def test_commands_are_found_with_their_roles_and_inherited() -> None:
    for plugin in (Store, Inherits):
        commands = commands_of(plugin)
        assert {name: each.role for name, each in commands.items()} == {
            "purge": "operator",
            "status": "viewer",
            "fail": "viewer",
        }
        assert commands["purge"].required == {"key"}


async def test_arguments_are_read_as_their_types_and_results_as_json(store: Plugin[Any]) -> None:
    done = await run_command(store, "purge", {"key": "a", "count": "3", "items": [{"name": "x"}]})
    assert (done.kind, done.result) == ("done", {"key": "a", "count": 3, "items": [{"name": "x"}]})

    assert (await run_command(store, "status", {"kind": "long"})).result == {"count": 4}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({}, "key: is missing"),
        ({"key": "a", "other": 1}, "other: is not an argument of it (key, count, items)"),
        ({"key": "a", "count": 0}, "count: input should be greater than 0"),
        ({"key": "a", "items": [{}]}, "items.0.name: field required"),
        ({"key": 1, "count": "x"}, "key: input should be a valid string; count: input should be a valid integer"),
    ],
)
async def test_wrong_arguments_are_refused_by_name(store: Plugin[Any], arguments: dict[str, Any], text: str) -> None:
    outcome = await run_command(store, "purge", arguments)

    assert outcome.kind == "refused"
    assert outcome.error.startswith("command 'purge': ")
    assert text in outcome.error


@pytest.mark.parametrize(
    ("how", "text"),
    [
        ("key", "KeyError: 'key'"),
        ("exit", "it raised SystemExit"),
        ("object", "JSON cannot hold a object"),
        ("nan", "JSON cannot hold a float"),
        ("hang", "it did not end within 0.01s"),
    ],
)
async def test_failures_become_outcomes(store: Plugin[Any], how: str, text: str) -> None:
    outcome = await run_command(store, "fail", {"how": how}, timeout=0.01 if how == "hang" else 30)

    assert outcome.kind == "failed"
    assert text in outcome.error


async def test_an_unknown_command_names_those_that_there_are(store: Plugin[Any]) -> None:
    outcome = await run_command(store, "prune", {})

    assert (outcome.kind, outcome.error) == (
        "unknown",
        "plugin 'store' has no command 'prune': it has fail, purge, status",
    )


def plugin_with(**attributes: Any) -> type[Plugin[Any]]:
    return type("Bad", (Plugin,), {"name": "bad", **attributes})


def _without_hint(self: Any, key) -> None:  # type: ignore[no-untyped-def]
    """A command without a type hint."""


def _any_number(self: Any, *keys: str) -> None:
    """A command that cannot be called by name."""


def _positional(self: Any, key: str, /) -> None:
    """The same."""


def _unknown_type(self: Any, key: Missing) -> None:  # type: ignore[name-defined]  # noqa: F821
    """A hint that names nothing."""


def _opaque(self: Any, key: Command | Mapping[str, asyncio.Event]) -> None:
    """A type that pydantic does not know."""


def _generator(self: Any) -> Any:
    yield 1


def _no_self() -> None:
    """A function."""


@pytest.mark.parametrize(
    ("attribute", "value", "text"),
    [
        ("purge", _without_hint, "has no type hint for 'key'"),
        ("purge", _any_number, "takes 'keys', which has no name"),
        ("purge", _positional, "which has no name that a caller could give"),
        ("purge", _unknown_type, "type hints that cannot be evaluated: NameError"),
        ("purge", _opaque, "a type for 'key' that pydantic cannot validate"),
        ("purge", _generator, "is a generator"),
        ("purge", _no_self, "takes no self"),
        ("purge", staticmethod(_no_self), "is no plain method"),
        ("start", _positional, "name of something else"),
        ("Purge", _no_self, "lower case letters"),
    ],
)
def test_signatures_that_cannot_be_called_are_defects(attribute: str, value: Any, text: str) -> None:
    function = getattr(value, "__func__", value)
    command(role="operator")(function)
    try:
        with pytest.raises(PluginDefectError, match=text) as refused:
            commands_of(plugin_with(**{attribute: value}))
    finally:
        del function.__gateway_command__
    assert f"plugin 'bad': command {attribute!r} ({__file__}:" in str(refused.value)


def test_the_roles_are_two() -> None:
    with pytest.raises(PluginDefectError, match="the roles are 'viewer' and 'operator'"):
        command(role="admin")  # type: ignore[arg-type]


def test_arguments_of_commands_are_json() -> None:
    assert as_json({"a": (1, Item(name="x"))}) == {"a": [1, {"name": "x"}]}
