from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from gateway_core.hooks import Plugin, PluginDefectError, table_of
from gateway_core.hooks.removed_names import HEADERS, PLUGIN, REQUEST, RESPONSE
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Request, Response


def _helper(message: Response) -> Any:
    return message.transform_body(None)  # type: ignore[attr-defined]


class _Helper:
    def judge(self, request: Any) -> Any:
        return request.headers.block


class Target(Plugin[Any]):
    name = "old"

    @hookimpl
    def gateway_request(self, request: Any) -> None:
        self.log.info(request.target)


class Claims(Plugin[Any]):
    name = "old"

    @hookimpl
    def gateway_pre_proxy(self, request: Any) -> None:
        request.claims = {}


class QueryParameters(Plugin[Any]):
    name = "old"

    @hookimpl
    def gateway_pre_proxy(self, request: Any) -> None:
        if [value for name, value in request.query_params if name == "a"]:
            return


class InFunction(Plugin[Any]):
    name = "old"

    @hookimpl
    def gateway_response(self, response: Any) -> None:
        _helper(response)


class InClass(Plugin[Any]):
    name = "old"

    @hookimpl
    def gateway_pre_proxy(self, request: Any) -> None:
        _Helper().judge(request)


class ByAnotherName(Plugin[Any]):
    name = "old"

    @hookimpl
    def gateway_pre_proxy(self, request: Any) -> None:
        sent = request
        if fields := sent.headers:
            fields.append_block(b"")


class Watches(Plugin[Any]):
    name = "old"

    @hookimpl
    async def gateway_pre_proxy(self, request: Request) -> None:
        request.watch_body(print)  # type: ignore[attr-defined]


class First(Plugin[Any]):
    name = "old"

    @hookimpl(tryfirst=True)
    def gateway_request(self) -> None: ...


class Last(Plugin[Any]):
    name = "old"

    @hookimpl(trylast=True)
    def gateway_request(self) -> None: ...


class Before(Plugin[Any]):
    name = "old"
    before = frozenset({"auth"})


class NeedsOf(Plugin[Any]):
    name = "old"

    @classmethod
    def needs_of(cls, config: Any) -> frozenset[str]:
        return frozenset(config)


class Times(Plugin[Any]):
    name = "old"

    def __init__(self, config: Any, context: Any) -> None:
        super().__init__(config, context)
        self.wants_times = True


@pytest.mark.parametrize(
    ("plugin", "text"),
    [
        (Target, r"request\.target \(.*test_removed_names.py:\d+\) is gone: use request\.received\.target"),
        (Claims, r"request\.claims .*use request\.identity\.claims"),
        (QueryParameters, r"request\.query_params .*use request\.query"),
        (InFunction, r"message\.transform_body .*use add_body_filter\(factory\)"),
        (InClass, r"request\.headers\.block .*use headers\.key"),
        (ByAnotherName, r"fields\.append_block .*use headers\.extend with a FieldBlock"),
        (Watches, r"request\.watch_body .*use add_body_filter\(factory, observe=True\)"),
        (First, r"@hookimpl\(tryfirst=True\) on gateway_request is gone: .*order: before"),
        (Last, r"@hookimpl\(trylast=True\) on gateway_request is gone"),
        (Before, r"before is gone: use provides and needs"),
        (NeedsOf, r"needs_of is gone: use needs, set in __init__"),
        (Times, r"self\.wants_times .*needs with \"hook-times\""),
    ],
)
def test_a_plugin_that_uses_what_is_gone_is_refused_with_the_replacement(plugin: type[Plugin[Any]], text: str) -> None:
    with pytest.raises(PluginDefectError, match=text):
        table_of(plugin)


@pytest.mark.parametrize(
    ("use", "replacement"),
    [
        *((f"request.{name}", text) for name, text in REQUEST.items()),
        *((f"response.{name}", text) for name, text in RESPONSE.items()),
        *((f"response.headers.{name}", text) for name, text in HEADERS.items()),
        *((f"self.{name}", text) for name, text in PLUGIN.items()),
    ],
)
def test_each_name_that_is_gone_has_its_replacement(use: str, replacement: str, tmp_path: Path) -> None:
    source = tmp_path / "old_plugin.py"  # what is looked at is the text of a file
    source.write_text(
        "from gateway_core.hooks import Plugin\n"
        "from gateway_core.hookspecs import hookimpl\n"
        "class Old(Plugin):\n"
        "    name = 'old'\n"
        "    @hookimpl\n"
        f"    def gateway_response(self, request, response):\n        {use}\n"
    )
    found: dict[str, Any] = {"__name__": "old_plugin"}
    exec(compile(source.read_text(), source, "exec"), found)

    with pytest.raises(PluginDefectError) as refused:
        table_of(found["Old"])

    assert f"{use} ({source}:7) is gone: use {replacement}" in str(refused.value)


def test_all_uses_are_counted() -> None:
    class Both(Target):
        @hookimpl
        def gateway_response(self, response: Any) -> None:
            response.watch_body(print)

    with pytest.raises(PluginDefectError, match="and 1 more"):
        table_of(Both)


class Other(Plugin[Any]):
    """Attributes of other things may have any name."""

    name = "new"
    target = ""

    def transform_body(self, params: Any) -> Any:
        return params.target, params.block

    @hookimpl
    def gateway_pre_proxy(self, request: Any) -> None:
        self.transform_body(request.route)
        self.target = request.received.target + request.route.target


def test_the_same_names_elsewhere_are_no_concern() -> None:
    assert set(table_of(Other)) == {"gateway_pre_proxy"}
