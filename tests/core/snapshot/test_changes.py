from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import Any

from gateway_core.clock import ManualClock, SystemClock
from gateway_core.config import GatewayConfig
from gateway_core.snapshot.changes import Changes, Difference, bindings_of, changed_settings, compare, counted
from gateway_core.tasks import Yielder
from hypothesis import given
from hypothesis import strategies as st

TABLES = st.dictionaries(st.text("abcdefghij", min_size=1, max_size=1), st.integers(0, 2))
NOTHING = Difference()


def compared(old: dict[str, int], new: dict[str, int]) -> Difference:
    return asyncio.run(compare(old, new, Yielder(SystemClock())))


def test_names_what_is_new_gone_and_different_and_counts_what_is_as_it_was() -> None:
    found = compared({"a": 1, "b": 2, "c": 3}, {"b": 2, "c": 4, "d": 5})

    assert found == Difference(("d",), ("a",), ("c",), 1)


@given(TABLES, TABLES)
def test_every_entry_is_named_or_counted_once(old: dict[str, int], new: dict[str, int]) -> None:
    found = compared(old, new)

    assert len(found.removed) + len(found.changed) + found.kept == len(old)
    assert len(found.added) + len(found.changed) + found.kept == len(new)
    assert found.is_empty is (old == new)


def test_bindings_come_first_and_only_what_is_different_is_named() -> None:
    changes = Changes(
        routes=Difference(changed=("orders", "users")),
        upstreams=NOTHING,
        endpoints=Difference(added=("users/10.0.0.1:80",)),
        bindings=Difference(removed=("auth (gateway-wide)",)),
        bindings_rebuilt=2,
        bindings_kept=41,
    )

    assert str(changes) == (
        "bindings removed: auth (gateway-wide); routes changed: orders, users; endpoints added: users/10.0.0.1:80; "
        "2 bindings rebuilt, 41 kept"
    )


def test_of_many_names_some_are_shown_and_the_rest_counted() -> None:
    many = Difference(added=tuple(f"r{number}" for number in range(10_000)))

    text = str(Changes(many, NOTHING, NOTHING, NOTHING, 0, 0))

    assert text == "routes added: r0, r1, r2, r3, r4 and 9995 more; 0 bindings rebuilt, 0 kept"


def test_says_that_nothing_is_different() -> None:
    assert (
        str(Changes(Difference(kept=4), NOTHING, NOTHING, NOTHING, 0, 1))
        == "nothing changed; 0 bindings rebuilt, 1 kept"
    )


async def test_bindings_are_named_with_their_place() -> None:
    old = GatewayConfig.model_validate({"plugins": [{"name": "auth"}, {"name": "logger"}]})
    route = {
        "id": "r",
        "path": "/",
        "targets": [{"target": "u", "plugins": [{"name": "ip"}]}],
        "plugins": [{"name": "a"}],
    }
    upstream = {"name": "u", "endpoints": [{"url": "http://h"}], "plugins": [{"name": "sign"}]}
    new = GatewayConfig.model_validate({"plugins": [{"name": "logger"}], "routes": [route], "upstreams": [upstream]})

    async def bound(config: GatewayConfig, changed: Sequence[str], upstreams: Collection[str]) -> dict[str, Any]:
        routes = {each.id: each for each in config.routes}
        return await bindings_of(config, routes, changed, upstreams, Yielder(SystemClock()))

    found = await compare(await bound(old, (), {"u"}), await bound(new, ("r",), {"u"}), Yielder(SystemClock()))

    assert found.removed == ("auth (gateway-wide)",)
    assert found.added == ("a (route r)", "ip (target u of route r)", "sign (upstream u)")
    assert list(await bound(new, (), ())) == ["logger (gateway-wide)"]


async def test_requests_have_a_turn_after_each_changed_route_whose_bindings_are_looked_for() -> None:
    routes = [{"id": f"r{n}", "path": f"/{n}", "target": "u", "plugins": [{"name": "a"}]} for n in range(300)]
    config = GatewayConfig.model_validate({"routes": routes})
    by_id = {each.id: each for each in config.routes}
    always = Yielder(ManualClock(), 0)  # its slices are used up at once
    working = asyncio.get_running_loop().create_task(bindings_of(config, by_id, list(by_id), (), always))

    assert await turns_during(working) >= 300


async def turns_during(task: asyncio.Task[Any]) -> int:
    turns = 0
    while not task.done():
        await asyncio.sleep(0)
        turns += 1
    return turns


def test_says_which_settings_are_different() -> None:
    old = GatewayConfig.model_validate({"workers": 1, "shutdown_timeout": "5s"})
    new = GatewayConfig.model_validate({"workers": 2, "shutdown_timeout": "6s", "plugins": [{"name": "logger"}]})
    settings = changed_settings(old, new)

    assert sorted(settings) == ["shutdown_timeout", "workers"]
    assert changed_settings(old, old) == ()
    text = str(Changes(NOTHING, NOTHING, NOTHING, NOTHING, 0, 1, settings=("limits", "workers")))
    assert text == "limits and workers changed; 0 bindings rebuilt, 1 kept"


def test_counts_in_plain_english() -> None:
    assert [counted(number, "route") for number in (0, 1, 2)] == ["0 routes", "1 route", "2 routes"]
