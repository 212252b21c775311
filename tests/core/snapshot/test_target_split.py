from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest
from gateway_core.config import EndpointConfig, StickyCookieConfig, UpstreamConfig
from gateway_core.leases import Leases
from gateway_core.messages import Request
from gateway_core.snapshot.target_split import TargetSplit
from gateway_core.upstreams import Endpoint, EndpointSpec, Upstream, make_strategy

NOW = 100.0
COOKIE = StickyCookieConfig(name="split")


@dataclass(frozen=True, eq=False)
class Target:
    id: str
    upstream: Upstream
    weight: int = 1
    is_backup: bool = False


MakeTarget = Callable[..., Target]


@pytest.fixture
def make_target() -> MakeTarget:
    leases: Leases[str, Endpoint] = Leases()

    def make(name: str, weight: int = 1, *, backup: bool = False) -> Target:
        config = UpstreamConfig(name=name, endpoints=(EndpointConfig(url=f"http://{name}.test"),))
        upstream = Upstream(
            config,
            acquire=lambda spec: leases.acquire(spec.id, lambda: Endpoint(spec)),
            strategy=make_strategy("round-robin"),
            rng=Random(1),
        )
        upstream.set_endpoints([EndpointSpec.of(endpoint) for endpoint in config.endpoints])
        return Target(name, upstream, weight, backup)

    return make


def set_health(target: Target, *, healthy: bool) -> None:
    (endpoint,) = target.upstream.endpoints
    endpoint.health.healthy = healthy
    endpoint.notify()


def request(cookie: str = "", client_ip: str = "10.0.0.1", path: str = "/") -> Request:
    headers = [("Cookie", cookie)] if cookie else []
    return Request("GET", path, headers, client_ip=client_ip)


def picks(split: TargetSplit[Target], count: int, **given: Any) -> str:
    return "".join(split.pick(request(**given), NOW).id for _ in range(count))


def test_weights_are_exact_without_a_key(make_target: MakeTarget) -> None:
    split = TargetSplit([make_target("a", 9), make_target("b", 1), make_target("c", 0)])

    assert Counter(picks(split, 100)) == {"a": 90, "b": 10}


def test_backups_get_requests_only_while_no_other_target_is_well(make_target: MakeTarget) -> None:
    a, b, c = make_target("a"), make_target("b"), make_target("c", backup=True)
    split = TargetSplit([a, b, c])

    assert set(picks(split, 10)) == {"a", "b"}
    set_health(a, healthy=False)
    assert "c" not in picks(split, 10)
    set_health(b, healthy=False)
    assert set(picks(split, 10)) == {"c"}
    set_health(c, healthy=False)
    assert set(picks(split, 10)) == {"a", "b"}
    set_health(c, healthy=True)
    set_health(a, healthy=True)
    assert "c" not in picks(split, 10)


def test_a_cookie_keeps_a_client_on_its_target(make_target: MakeTarget) -> None:
    a, b = make_target("a"), make_target("b", 99)
    split = TargetSplit([a, b], sticky_cookie=COOKIE, secret=b"s")
    assert split.sticky is not None
    given = split.set_cookie(a, request())
    assert given is not None
    cookie = given.partition(";")[0]

    assert set(picks(split, 50, cookie=cookie)) == {"a"}
    assert split.set_cookie(a, request(cookie=cookie)) is None
    assert split.set_cookie(b, request(cookie=cookie)) is not None
    assert given == f"split={split.sticky.token(a)}; Path=/; HttpOnly; SameSite=Lax"


@pytest.mark.parametrize("cookie", ["split=", "split=unknown", "other=1"])
def test_a_cookie_that_names_no_target_counts_for_nothing(cookie: str, make_target: MakeTarget) -> None:
    split = TargetSplit([make_target("a"), make_target("b")], sticky_cookie=COOKIE)

    assert Counter(picks(split, 10, cookie=cookie)) == {"a": 5, "b": 5}


def test_a_cookie_is_not_followed_to_a_target_that_is_ill_or_gets_nothing(make_target: MakeTarget) -> None:
    a, b, none = make_target("a"), make_target("b"), make_target("n", 0)
    backup = make_target("x", backup=True)
    split = TargetSplit([a, b, none, backup], sticky_cookie=COOKIE)
    assert split.sticky is not None

    set_health(a, healthy=False)

    for target in (a, none, backup):
        assert "b" in picks(split, 4, cookie=f"split={split.sticky.token(target)}")


def test_a_key_keeps_a_client_on_its_target_in_proportion_to_the_weights(make_target: MakeTarget) -> None:
    targets = [make_target("a", 3), make_target("b", 1)]
    split, other = (TargetSplit(targets, hash_on=("client_ip",)) for _ in range(2))
    clients = [f"10.0.{number // 250}.{number % 250}" for number in range(2000)]

    chosen = [picks(split, 1, client_ip=client) for client in clients]

    assert chosen == [picks(other, 1, client_ip=client) for client in clients]
    assert 0.70 < chosen.count("a") / len(chosen) < 0.80


def test_without_the_key_targets_take_turns(make_target: MakeTarget) -> None:
    split = TargetSplit([make_target("a"), make_target("b")], hash_on=("cookie:user",))

    assert Counter(picks(split, 10)) == {"a": 5, "b": 5}
    assert len(set(picks(split, 10, cookie="user=7"))) == 1


def test_a_split_of_nothing_is_refused(make_target: MakeTarget) -> None:
    with pytest.raises(ValueError, match="no target has a weight above 0"):
        TargetSplit([make_target("a", 0)])
