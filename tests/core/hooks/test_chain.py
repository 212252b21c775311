from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from gateway_core.hooks import Binding, Chain, Plugin, Stop, attempt_hooks, build_chain
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Response

Bind = Callable[..., Binding]

PHASES = (
    "gateway_request",
    "gateway_route_match",
    "gateway_pre_proxy",
    "gateway_attempt",
    "gateway_response",
    "gateway_log",
)


def hooks(*phases: str, **options: Any) -> dict[str, Any]:
    """Return members of a plugin class with hooks that let everything pass."""

    def make(phase: str) -> Any:
        def hook(self: Any, request: Any) -> None: ...

        hook.__qualname__ = "Made.hook"
        return hookimpl(specname=phase, **options)(hook)

    return {phase: make(phase) for phase in phases}


def ids(found: tuple[Any, ...]) -> list[str]:
    return [hook.binding.id for hook in found]


def test_phases_run_in_the_order_of_the_configuration_and_the_response_phase_in_reverse(bind: Bind) -> None:
    chain = build_chain([bind(hooks(*PHASES), name) for name in "abc"])

    assert ids(chain.request) == ids(chain.route_match) == ids(chain.pre_proxy) == ids(chain.log) == ["a", "b", "c"]
    assert ids(chain.response) == ["c", "b", "a"]


def test_the_request_phase_is_for_gateway_wide_bindings_only(bind: Bind) -> None:
    chain = build_chain([bind(hooks(*PHASES), "wide"), bind(hooks(*PHASES), "own", route="r")])

    assert ids(chain.request) == ["wide"]
    assert ids(chain.pre_proxy) == ["wide", "own"]


def test_a_hook_with_the_specs_arguments_is_called_without_an_adapter(bind: Bind, request_: Any) -> None:
    class Exact(Plugin[Any]):
        name = "exact"

        @hookimpl
        def gateway_response(self, request: Any, response: Any) -> None: ...

        @hookimpl
        def gateway_log(self, record: Any, request: Any) -> None: ...

    binding = bind(Exact)
    instance = binding.instance
    assert isinstance(instance, Exact)
    chain = build_chain([binding])

    assert chain.response[0].call == instance.gateway_response
    assert chain.log[0].call != instance.gateway_log


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("", ()),
        ("request", "q"),
        ("response", "s"),
        ("record", "r"),
        ("record, request", "rq"),
        ("response, record", "sr"),
    ],
)
def test_a_hook_may_take_any_of_the_arguments_in_any_order(bind: Bind, names: str, expected: str) -> None:
    scope: dict[str, Any] = {}
    seen: list[str] = []
    exec(f"class Hooks:\n def gateway_log(self, {names}): seen.extend([{names}])", {"seen": seen}, scope)

    build_chain([bind({"gateway_log": hookimpl(scope["Hooks"].gateway_log)})]).log[0].call("q", "s", "r")

    assert seen == list(expected)


def stopped(chain: Chain, phase: str, by: str) -> list[str]:
    hook = next(hook for hook in chain.hooks_of(phase) if hook.binding.id == by)
    return ids(chain.response_after(phase, Stop(Response(), hook)))


def test_after_a_stop_the_response_phase_runs_for_the_bindings_up_to_the_one_that_stopped(bind: Bind) -> None:
    both = ("gateway_pre_proxy", "gateway_response")
    chain = build_chain(
        [
            bind(hooks("gateway_response"), "outer"),
            bind(hooks(*both), "a"),
            bind(hooks(*both), "b"),
            bind(hooks(*both), "c"),
            bind(hooks("gateway_response"), "inner"),
        ]
    )

    assert stopped(chain, "gateway_pre_proxy", "b") == ["b", "a", "outer"]


def test_after_a_stop_the_response_phase_runs_for_later_bindings_whose_earlier_phases_ran(bind: Bind) -> None:
    chain = build_chain(
        [
            bind(hooks("gateway_pre_proxy", "gateway_response"), "a"),
            bind(hooks("gateway_request", "gateway_response"), "earlier"),
            bind(hooks("gateway_response"), "never"),
        ]
    )

    assert stopped(chain, "gateway_pre_proxy", "a") == ["earlier", "a"]


def test_a_binding_that_was_not_called_yet_is_left_out(bind: Bind) -> None:
    both = ("gateway_pre_proxy", "gateway_response")
    chain = build_chain([bind(hooks(*both), "first"), bind(hooks(*both), "a"), bind(hooks(*both), "last")])

    assert stopped(chain, "gateway_pre_proxy", "a") == ["a", "first"]


def test_a_stop_by_a_binding_of_another_chain_runs_the_whole_response_phase(bind: Bind) -> None:
    chain = build_chain([bind(hooks("gateway_response"), "a")])
    other = build_chain([bind(hooks("gateway_pre_proxy"), "b")])

    assert chain.response_after("gateway_pre_proxy", Stop(Response(), other.pre_proxy[0])) == chain.response


def reserving(*names: str, phases: tuple[str, ...] = ("gateway_pre_proxy",)) -> dict[str, Any]:
    return {**hooks(*phases), "reserved_headers": frozenset(names)}


@pytest.mark.parametrize("policy", [{}, {"is_shadow": True}, {"on_error": "continue"}, {"quarantine": (1, 1, 1, 1)}])
def test_fields_of_every_binding_are_reserved_whatever_its_mode(bind: Bind, policy: dict[str, Any]) -> None:
    chain = build_chain([bind(reserving("X-A"), "a", **policy), bind(reserving("X-B"), "b", route="r", **policy)])

    assert chain.reserved is not None
    assert [chain.reserved.are_in(b"\r\nx_%b:" % name) for name in (b"a", b"b", b"c")] == [True, True, False]
    assert chain.reserved_by_route == chain.reserved
    assert build_chain([bind(hooks("gateway_log"))]).reserved is None


def test_what_request_hooks_may_have_set_is_not_removed_when_the_route_is_known(bind: Bind) -> None:
    wide = bind(reserving("X-A", phases=("gateway_request",)), "a")

    alone, with_route = build_chain([wide]), build_chain([wide, bind(reserving("X-B"), "b", route="r")])

    assert alone.reserved is not None
    assert alone.reserved.are_in(b"\r\nx-a:")
    assert alone.reserved_by_route is None
    assert with_route.reserved_by_route is not None
    assert not with_route.reserved_by_route.are_in(b"\r\nx-a:")
    assert with_route.reserved_by_route.are_in(b"\r\nx-b:")


def test_attempt_hooks_of_targets_come_behind_all_others_but_the_upstreams(bind: Bind) -> None:
    chain = layered(bind)

    target = chain.for_target("a")
    assert target is not None
    assert ids(target.attempt) == ["before", "route", "after", "of-a"]
    assert ids(chain.attempt) == ["before", "route", "after"]
    assert ids(attempt_hooks([bind(hooks("gateway_attempt", "gateway_log"), "of-upstream")])) == ["of-upstream"]


def layered(bind: Bind) -> Chain:
    after = bind(hooks(*PHASES), "after")
    after.is_after = True
    return build_chain(
        [bind(hooks(*PHASES), "before"), bind(hooks(*PHASES), "route", route="r")],
        after=[after],
        targets={"a": [bind(hooks(*PHASES), "of-a", route="r")], "b": []},
    )


@pytest.mark.parametrize(("target", "own"), [("a", ["of-a"]), ("b", []), ("elsewhere", [])])
def test_bindings_of_the_target_run_between_those_of_the_route_and_those_behind(
    bind: Bind, target: str, own: list[str]
) -> None:
    chain = layered(bind)
    rest = chain.for_target(target)

    assert rest is not None
    assert ids(chain.pre_proxy) == ["before", "route"]
    assert ids(rest.pre_proxy) == [*own, "after"]
    assert ids(rest.log) == ["before", "route", *own, "after"]
    assert ids(rest.response) == ["after", *reversed(own), "route", "before"]


def test_a_route_without_bindings_of_targets_has_one_chain(bind: Bind) -> None:
    chain = build_chain([bind(hooks(*PHASES), "a")], after=[bind(hooks(*PHASES), "z")], targets={"u": []})

    assert chain.for_target("u") is None
    assert ids(chain.pre_proxy) == ["a", "z"]


def test_the_response_phase_behind_a_target_is_that_of_the_bindings_that_were_entered(bind: Bind) -> None:
    chain = layered(bind)
    rest = chain.for_target("a")
    assert rest is not None

    # The request hook of the last one ran before there was a route.
    assert stopped(chain, "gateway_pre_proxy", "route") == ["after", "route", "before"]
    assert stopped(rest, "gateway_pre_proxy", "of-a") == ["after", "of-a", "route", "before"]
    assert stopped(rest, "gateway_pre_proxy", "after") == ["after", "of-a", "route", "before"]


def test_a_binding_that_sees_all_responses_sees_those_of_earlier_stops(bind: Bind) -> None:
    members = {**hooks("gateway_pre_proxy", "gateway_response"), "responses": "all"}
    chain = build_chain([bind(hooks("gateway_pre_proxy", "gateway_response"), "a"), bind(members, "all")])

    assert stopped(chain, "gateway_pre_proxy", "a") == ["all", "a"]
    assert ids(chain.response_to_all) == ["all"]


def test_a_binding_that_ignores_its_own_responses_has_no_later_hooks_for_them(bind: Bind) -> None:
    members = hooks("gateway_pre_proxy", "gateway_response", "gateway_log")
    own_members = {**members, "ignores_own_responses": True, "responses": "all"}
    chain = build_chain([bind(members, "a"), bind(own_members, "cache"), bind(members, "b")])

    def after(binding: str, error: str | None = None) -> Chain:
        hook = next(each for each in chain.pre_proxy if each.binding.id == binding)
        return chain.for_stop(Stop(Response(200), hook, error))

    own = after("cache")
    assert (ids(own.response), ids(own.response_to_all), ids(own.log)) == (["b", "a"], [], ["a", "b"])
    assert stopped(own, "gateway_pre_proxy", "cache") == ["a"]
    assert after("cache") is own
    assert after("a") is after("cache", "it failed") is chain
    assert ids(chain.log) == ["a", "cache", "b"]


def test_a_rerouted_request_meets_the_new_routes_own_hooks_and_those_behind_that_have_not_run(bind: Bind) -> None:
    early, late = bind(hooks(*PHASES), "early"), bind(hooks(*PHASES), "late")
    late.is_after = True
    old = build_chain([early, bind(hooks(*PHASES), "old", route="r")], after=[late])
    new = build_chain([early, bind(hooks(*PHASES), "new", route="s")], after=[late])

    def after(binding: str) -> list[str]:
        hook = next(each for each in old.route_match if each.binding.id == binding)
        return ids(new.rerouted(Stop("s", hook)))

    assert after("early") == ["new", "late"]
    assert after("old") == ["new", "late"]
    assert after("late") == ["new"]
