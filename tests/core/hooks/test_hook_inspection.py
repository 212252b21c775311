from __future__ import annotations

import types
from collections.abc import AsyncIterator
from typing import Any

import pytest
from gateway_core.hooks import Plugin, PluginDefectError, hookimpl_blocking, table_of
from gateway_core.hooks.hook_inspection import checked_manager, hook_codes, process_hooks_of
from gateway_core.hookspecs import hookimpl


def made(**members: Any) -> type[Plugin[Any]]:
    return type("Made", (Plugin,), {"name": "made", **members})


def test_a_misspelt_hook_is_named_with_its_place_and_the_closest_hook() -> None:
    @hookimpl
    def gateway_pre_prox(self: Any, request: Any) -> None: ...

    with pytest.raises(PluginDefectError) as caught:
        table_of(made(gateway_pre_prox=gateway_pre_prox))

    line = gateway_pre_prox.__code__.co_firstlineno
    assert str(caught.value) == (
        f"plugin 'made': gateway_pre_prox ({__file__}:{line}) is not a hook: did you mean gateway_pre_proxy?"
    )


def test_a_misspelt_hook_without_a_marker_is_found_too() -> None:
    def gateway_loge(self: Any, request: Any) -> None: ...

    with pytest.raises(PluginDefectError, match="is not a hook: did you mean gateway_log"):
        table_of(made(gateway_loge=gateway_loge))


def test_a_hook_without_its_marker_is_refused() -> None:
    def gateway_log(self: Any, request: Any) -> None: ...

    with pytest.raises(PluginDefectError, match="is not marked: put @hookimpl above it"):
        table_of(made(gateway_log=gateway_log))


def test_an_argument_that_the_spec_has_not_is_named_with_those_it_has() -> None:
    @hookimpl
    def gateway_response(self: Any, request: Any, answer: Any) -> None: ...

    with pytest.raises(PluginDefectError, match="takes 'answer', which it is not given: it may take request, response"):
        table_of(made(gateway_response=gateway_response))


def test_a_keyword_only_argument_without_default_is_refused() -> None:
    @hookimpl
    def gateway_log(self: Any, request: Any, *, record: Any) -> None: ...

    with pytest.raises(PluginDefectError, match="takes 'record'"):
        table_of(made(gateway_log=gateway_log))


@pytest.mark.parametrize("option", ["wrapper", "hookwrapper"])
def test_wrappers_are_refused(option: str) -> None:
    def gateway_log(self: Any, request: Any) -> Any:
        return request

    options: dict[str, Any] = {option: True}
    with pytest.raises(PluginDefectError, match="is a wrapper"):
        table_of(made(gateway_log=hookimpl(**options)(gateway_log)))


def test_generators_are_refused() -> None:
    @hookimpl
    async def gateway_log(self: Any, request: Any) -> AsyncIterator[None]:
        yield

    with pytest.raises(PluginDefectError, match="is a generator"):
        table_of(made(gateway_log=gateway_log))


def test_a_hook_is_async_or_blocking_but_not_both() -> None:
    @hookimpl_blocking
    async def gateway_log(self: Any, request: Any) -> None: ...

    with pytest.raises(PluginDefectError, match="async and marked as blocking"):
        table_of(made(gateway_log=gateway_log))


def test_a_process_wide_hook_of_a_plugin_must_be_static() -> None:
    @hookimpl
    def gateway_strategies(self: Any) -> None: ...

    with pytest.raises(PluginDefectError, match=r"make it a @staticmethod|takes 'self'"):
        table_of(made(gateway_strategies=gateway_strategies))
    table_of(made(gateway_strategies=staticmethod(hookimpl(lambda: {}))))  # noqa: PIE807 - a builtin takes no marker


def test_the_table_knows_arguments_and_kind() -> None:
    class Some(Plugin[Any]):
        name = "some"

        @hookimpl
        def gateway_request(self, request: Any) -> None: ...

        @hookimpl(specname="gateway_log")
        def note(self, record: Any, request: Any) -> None: ...

        @hookimpl
        async def gateway_pre_proxy(self) -> None: ...

        @hookimpl_blocking
        def gateway_response(self, response: Any, extra: Any = None) -> None: ...

    table = table_of(Some)

    assert set(table) == {"gateway_request", "gateway_pre_proxy", "gateway_response", "gateway_log"}
    (request,), (log,) = table["gateway_request"], table["gateway_log"]
    assert (request.attribute, request.arguments, request.is_async) == ("gateway_request", None, False)
    assert (log.attribute, log.arguments) == ("note", (2, 0))
    assert (table["gateway_pre_proxy"][0].arguments, table["gateway_pre_proxy"][0].is_async) == ((), True)
    assert (table["gateway_response"][0].arguments, table["gateway_response"][0].is_blocking) == ((1,), True)


def test_a_subclass_inherits_hooks() -> None:
    class Base(Plugin[Any]):
        name = "base"

        @hookimpl
        def gateway_log(self, request: Any) -> None: ...

    class Derived(Base):
        name = "derived"

    assert set(table_of(Derived)) == {"gateway_log"}


def test_the_process_wide_hooks_of_a_class_are_found_with_it() -> None:
    plugin = made(gateway_strategies=staticmethod(hookimpl(lambda: {})))  # noqa: PIE807 - a builtin takes no marker

    assert process_hooks_of(plugin) == ("gateway_strategies",)
    assert process_hooks_of(made()) == ()


def test_an_attribute_that_is_no_function_may_have_any_name() -> None:
    assert table_of(made(gateway_url="http://a")) == {}


def test_hooks_can_be_found_by_their_code() -> None:
    class Some(Plugin[Any]):
        name = "found-by-code"

        @hookimpl
        def gateway_log(self, request: Any) -> None: ...

    table_of(Some)

    assert hook_codes[id(Some.gateway_log.__code__)][1:] == ("found-by-code", "gateway_log")


def test_a_module_may_import_functions_whose_names_look_like_hooks() -> None:
    module = types.ModuleType("extension")
    module.gateway_tools = test_a_subclass_inherits_hooks  # type: ignore[attr-defined]

    checked_manager(module, "extension")
