from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from gateway_core.config import ConfigModel
from gateway_core.upstreams import Candidates, Endpoint
from gateway_core.upstreams.strategies import BUILT_IN, RandomChoice, Strategy, UnknownStrategyError, make_strategy


class FirstOptions(ConfigModel):
    x: int = 0


class First(RandomChoice):
    config_model = FirstOptions

    def __init__(self, config: FirstOptions) -> None:
        super().__init__()
        self.config = config

    def pick(self, usable: Candidates, key: str | None, rng: Random) -> Endpoint:
        return usable.endpoints[0]


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_strategy_chooses_among_the_usable_ones(name: str, make_candidates: Callable[..., Candidates]) -> None:
    strategy = make_strategy(name)
    members, usable = make_candidates(a=2, b=1, c=1), make_candidates(b=1, c=1)
    strategy.update(members)

    assert {strategy.pick(usable, f"key-{i}", Random(i)).id for i in range(60)} == {"b", "c"}
    assert {strategy.pick_again(make_candidates(c=1), "key", Random(i)).id for i in range(5)} == {"c"}


def test_an_extension_adds_a_strategy(make_candidates: Callable[..., Candidates]) -> None:
    strategy: Strategy = make_strategy("first", {"x": 1}, {"first": First})

    assert isinstance(strategy, First)
    assert strategy.config == FirstOptions(x=1)
    assert strategy.pick(make_candidates(a=1, b=1), None, Random(1)).id == "a"


def test_options_that_a_strategy_does_not_take_are_refused() -> None:
    with pytest.raises(ValueError, match='y: unknown key "y"'):
        make_strategy("first", {"y": 1}, {"first": First})


def test_an_unknown_strategy_names_the_known_ones() -> None:
    with pytest.raises(UnknownStrategyError, match=r"'rond-robin' is not a strategy: known are round-robin, .*, first"):
        make_strategy("rond-robin", {}, {"first": First})


def test_an_extension_cannot_replace_a_strategy_of_the_core() -> None:
    assert not isinstance(make_strategy("random", {}, {"random": First}), First)
