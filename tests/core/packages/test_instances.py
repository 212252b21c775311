from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from gateway_core.clock import ManualClock
from gateway_core.config import BindingConfig, ConfigError, ConfigModel, Place, QuarantineConfig
from gateway_core.hooks import Binding, Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.leases import Leases
from gateway_core.metrics import Metrics
from gateway_core.packages import Bindings, InstanceLeases, PluginRegistry
from pydantic import Field

PLACE = Place("gateway.yaml", 4, 5)


class CounterConfig(ConfigModel):
    step: int = Field(1, ge=1)


class Counting(Plugin[CounterConfig]):
    """Counts, and notes down what happens to it."""

    name = "counting"
    config_model = CounterConfig
    default_on_error = "continue"
    happened: list[str] = []
    count = 0

    async def start(self) -> None:
        self.happened.append(f"start {self.context.binding}")
        if self.config.step == 99:
            raise OSError("no such door")
        if self.config.step == 98:
            await asyncio.Event().wait()

    async def stop(self) -> None:
        self.happened.append(f"stop {self.context.binding}")
        if self.config.step == 97:
            raise OSError("it jams")

    @hookimpl
    def gateway_log(self) -> None:
        self.count += self.config.step


@pytest.fixture
def registry() -> PluginRegistry:
    registry = PluginRegistry(find=dict)
    Counting.happened = []
    registry.register(Counting, version="1.0")
    return registry


Snapshot = Callable[[], Bindings]


@pytest.fixture
def snapshot(registry: PluginRegistry, clock: ManualClock, metrics: Metrics) -> Snapshot:
    """Return a function that makes the bindings of one more snapshot, all sharing their leases."""
    leases: InstanceLeases = Leases()
    return lambda: Bindings(registry, leases, clock=clock, metrics=metrics, start_timeout=0.5)


def bind(bindings: Bindings, *, route: str | None = None, place: Place = PLACE, **config: Any) -> Binding:
    return bindings.bind(BindingConfig(name="counting", **config), route=route, place=place, key_path="plugins[0]")


async def test_a_binding_carries_the_policy_of_its_configuration_and_its_plugin(snapshot: Snapshot) -> None:
    bindings = snapshot()

    plain = bind(bindings)
    own = bind(
        bindings,
        id="own",
        route="r",
        on_error="deny",
        on_timeout="continue",
        timeout="2s",
        mode="shadow",
        quarantine=QuarantineConfig(failures=2),
    )

    assert (plain.id, plain.plugin, plain.version, plain.route) == ("counting", "counting", "1.0", None)
    assert (plain.on_error, plain.on_timeout, plain.timeout, plain.is_shadow) == ("continue", "continue", None, False)
    assert plain.place == "gateway.yaml:4:5"
    assert plain.quarantine is None
    assert (own.route, own.on_error, own.on_timeout, own.timeout, own.is_shadow) == ("r", "deny", "continue", 2, True)
    assert own.quarantine is not None
    assert own.quarantine.policy.failures == 2
    assert own.instance.context.binding == "own"
    assert own.instance.context.route == "r"


async def test_an_unchanged_binding_keeps_its_instance_and_a_changed_one_does_not(snapshot: Snapshot) -> None:
    old = snapshot()
    kept, changed = bind(old, config={"step": 2}), bind(old, id="b", config={"step": 3})
    await old.start()
    assert (old.made, old.kept) == (2, 0)

    new = snapshot()
    moved = Place("gateway.yaml", 99, 1)
    kept_again, rebuilt = bind(new, config={"step": 2}, place=moved), bind(new, id="b", config={"step": 4})
    await new.start()
    await old.aclose()

    assert kept_again.instance is kept.instance
    assert rebuilt.instance is not changed.instance
    assert (new.made, new.kept) == (1, 1)
    assert Counting.happened == ["start counting", "start b", "start b", "stop b"]

    await new.aclose()
    assert sorted(Counting.happened[4:]) == ["stop b", "stop counting"]


@pytest.mark.parametrize("other", [{"id": "c"}, {"route": "r"}, {"config": {"step": 2}}], ids=["id", "route", "config"])
async def test_each_part_of_the_key_makes_another_instance(snapshot: Snapshot, other: dict[str, Any]) -> None:
    bindings = snapshot()

    assert bind(bindings).instance is not bind(bindings, **other).instance


async def test_a_changed_policy_keeps_the_instance_and_what_is_known_of_its_failures(
    snapshot: Snapshot, clock: ManualClock
) -> None:
    old = bind(snapshot(), on_error="deny", quarantine=QuarantineConfig(failures=1, clients=1))
    assert old.quarantine is not None
    old.quarantine.failed(clock.monotonic(), "gateway_log", "client")

    same = bind(snapshot(), on_error="continue", quarantine=QuarantineConfig(failures=1, clients=1))
    other = bind(snapshot(), quarantine=QuarantineConfig(failures=2))

    assert old.instance is same.instance is other.instance
    assert same.faults is old.faults
    assert same.quarantine is old.quarantine
    assert other.quarantine is not None
    assert other.quarantine.is_closed


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"step": 0}, "plugins[0].config.step: 0 is less than the minimum of 1 (counting 1.0)"),
        ({"stop": 1}, 'plugins[0].config.stop: unknown key "stop": did you mean "step"? (counting 1.0)'),
    ],
)
async def test_a_configuration_that_the_model_refuses_names_the_place(
    snapshot: Snapshot, config: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        bind(snapshot(), config=config)

    assert str(caught.value) == f"gateway.yaml:4:5: {message}"


async def test_a_missing_plugin_and_a_failing_constructor_name_the_place(
    snapshot: Snapshot, registry: PluginRegistry
) -> None:
    class Failing(Plugin[Any]):
        name = "failing"

        def __init__(self, *_: Any) -> None:
            raise ValueError("not today")

    registry.register(Failing)
    for name, message in (("counted", "plugin 'counted' is not installed"), ("failing", "failing 0 cannot be made: V")):
        with pytest.raises(ConfigError, match=rf"gateway.yaml:4:5: plugins\[0\]: {message}"):
            snapshot().bind(BindingConfig(name=name), route=None, place=PLACE, key_path="plugins[0]")


async def test_every_instance_that_fails_to_start_is_reported_and_the_others_are_stopped(
    snapshot: Snapshot, caplog: pytest.LogCaptureFixture
) -> None:
    bindings = snapshot()
    for index, step in enumerate((99, 98, 1)):
        bind(bindings, id=f"b{index}", config={"step": step}, place=Place("gateway.yaml", index + 1, 1))

    with pytest.raises(ConfigError) as caught:
        await bindings.start()
    await bindings.aclose()

    first, second = (str(problem) for problem in caught.value.problems)
    assert first.startswith("gateway.yaml:1:1: plugins[0]: counting failed to start: OSError: no such door (")
    assert second == "gateway.yaml:2:1: plugins[0]: counting did not start within 0.5s"
    assert [each for each in Counting.happened if each.startswith("stop")] == ["stop b2"]
    assert not caplog.records  # what the system refuses has no traceback


async def test_a_failing_stop_is_logged_and_keeps_nobody_from_stopping(
    snapshot: Snapshot, caplog: pytest.LogCaptureFixture
) -> None:
    bindings = snapshot()
    bind(bindings, id="jams", config={"step": 97})
    bind(bindings, id="fine")
    await bindings.start()

    await bindings.aclose()
    await bindings.aclose()

    assert sorted(Counting.happened[2:]) == ["stop fine", "stop jams"]
    assert "<Counting 'jams'> failed to stop: OSError: it jams" in caplog.text


async def test_an_instance_that_is_kept_is_started_once(snapshot: Snapshot) -> None:
    for _ in range(3):
        bindings = snapshot()
        bind(bindings)
        await bindings.start()

    assert Counting.happened == ["start counting"]


async def test_requests_have_turns_while_many_instances_are_started_and_given_back(snapshot: Snapshot) -> None:
    bindings = snapshot()
    for number in range(1000):
        bind(bindings, id="many", route=str(number))

    assert await turns_during(bindings.start()) >= 10
    assert await turns_during(bindings.aclose()) >= 10
    assert Counting.happened.count("stop many") == 1000


async def turns_during(work: Coroutine[None, None, None]) -> int:
    task, turns = asyncio.get_running_loop().create_task(work), 0
    while not task.done():
        await asyncio.sleep(0)
        turns += 1
    await task
    return turns


async def test_bindings_are_listed_and_counted_as_they_are_made(snapshot: Snapshot) -> None:
    before, after = snapshot(), snapshot()
    bind(before, id="kept")

    made = [bind(after, id="kept"), bind(after, id="other")]

    assert after.bound == made
    assert (after.made, after.kept) == (1, 1)
