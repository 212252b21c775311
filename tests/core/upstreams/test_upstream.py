from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from gateway_core.config import CircuitBreakerConfig, OutlierDetectionConfig, StickyCookieConfig, UpstreamLimitsConfig
from gateway_core.upstreams import Endpoint, EndpointSpec, EndpointStatus, Outcome, RefusalReason, Upstream
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

MakeUpstream = Callable[..., Upstream]

BREAKER = CircuitBreakerConfig.model_construct(minimum_requests=2, open_for=30.0, half_open_requests=1)
OUTLIERS = OutlierDetectionConfig.model_construct(consecutive_failures=2, base_ejection_time=10.0)


def picks(upstream: Upstream, count: int, now: float = 100.0, **arguments: Any) -> str:
    found = [upstream.pick(arguments.get("key"), now, arguments.get("attempted", ())) for _ in range(count)]
    return "".join(endpoint.id if endpoint else "-" for endpoint in found)


def by_id(upstream: Upstream, name: str) -> Endpoint:
    return next(endpoint for endpoint in upstream.endpoints if endpoint.id == name)


def fail(upstream: Upstream, name: str, times: int, now: float, outcome: int = Outcome.RESET) -> None:
    for _ in range(times):
        upstream.record(by_id(upstream, name), outcome, now, now)


def test_requests_go_round(make_upstream: MakeUpstream) -> None:
    assert picks(make_upstream(), 6) == "abcabc"


def test_weights_count_unless_a_strategy_is_named(make_upstream: MakeUpstream) -> None:
    endpoints = [
        EndpointSpec("http", name, 1, id=name, weight=weight) for name, weight in [("a", 8), ("b", 1), ("c", 1)]
    ]

    assert Counter(picks(make_upstream(endpoints=endpoints), 100)) == {"a": 80, "b": 10, "c": 10}
    assert Counter(picks(make_upstream(endpoints, strategy="round-robin"), 99)) == {"a": 33, "b": 33, "c": 33}


def test_unhealthy_endpoints_are_skipped_until_they_are_well(make_upstream: MakeUpstream) -> None:
    upstream = make_upstream()
    picks(upstream, 3)
    sick = by_id(upstream, "b")

    sick.health.healthy = False
    sick.notify()
    assert set(picks(upstream, 6)) == {"a", "c"}

    sick.health.healthy = True
    sick.notify()
    assert set(picks(upstream, 6)) == {"a", "b", "c"}


def test_failures_in_a_row_eject_and_time_brings_back(make_upstream: MakeUpstream) -> None:
    upstream = make_upstream(outlier_detection=OUTLIERS)
    picks(upstream, 3)

    fail(upstream, "b", 2, 100.0)

    assert set(picks(upstream, 6, 109.9)) == {"a", "c"}
    assert set(picks(upstream, 6, 110.0)) == {"a", "b", "c"}
    assert by_id(upstream, "b").last_error == "reset"


def test_ejections_and_breakers_are_told_to_the_operator(
    make_upstream: MakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    upstream = make_upstream(outlier_detection=OUTLIERS, circuit_breaker=BREAKER)
    picks(upstream, 3)
    with caplog.at_level("INFO"):
        fail(upstream, "b", 2, 100.0)
        assert picks(upstream, 12, 130.0).count("b") == 1
        upstream.record(by_id(upstream, "b"), 200, 130.0, 130.0)

    assert [record.getMessage() for record in caplog.records] == [
        "endpoint b of upstream 'u' is ejected for 10 s: reset",
        "circuit breaker of endpoint b of upstream 'u' is open: reset",
        "circuit breaker of endpoint b of upstream 'u' is closed",
    ]


def test_a_success_between_failures_keeps_the_endpoint(make_upstream: MakeUpstream) -> None:
    upstream = make_upstream(outlier_detection=OUTLIERS)
    picks(upstream, 1)
    for _ in range(5):
        fail(upstream, "b", 1, 100.0)
        upstream.record(by_id(upstream, "b"), 200, 100.0, 100.0)

    assert set(picks(upstream, 6)) == {"a", "b", "c"}


def test_no_more_than_the_share_is_ejected(make_upstream: MakeUpstream) -> None:
    upstream = make_upstream(outlier_detection=OUTLIERS)
    picks(upstream, 1)

    for name in "abc":
        fail(upstream, name, 5, 100.0)

    assert set(picks(upstream, 6)) == {"b", "c"}, "50 percent of three is one"


def test_an_open_breaker_takes_the_endpoint_out_and_one_probe_brings_it_back(make_upstream: MakeUpstream) -> None:
    upstream = make_upstream("ab", circuit_breaker=BREAKER)
    picks(upstream, 2)
    fail(upstream, "a", 2, 100.0, 503)
    assert set(picks(upstream, 4, 129.9)) == {"b"}

    assert picks(upstream, 6, 130.0).count("a") == 1, "one probe only"
    upstream.record(by_id(upstream, "a"), 200, 130.0, 131.0)

    assert picks(upstream, 6, 131.0).count("a") == 3


def test_the_only_endpoint_is_refused_while_its_probe_is_under_way(make_upstream: MakeUpstream) -> None:
    upstream = make_upstream("a", circuit_breaker=BREAKER)
    picks(upstream, 1)
    fail(upstream, "a", 2, 100.0)

    assert picks(upstream, 3, 130.0) == "a--"
    assert upstream.refusal(130.0).reason is RefusalReason.BREAKER_OPEN
    assert picks(upstream, 2, 160.0) == "a-", "a probe that never ends is given up"


def test_an_abandoned_probe_makes_room_for_another(make_upstream: MakeUpstream) -> None:
    upstream = make_upstream("ab", circuit_breaker=BREAKER)
    picks(upstream, 2)
    fail(upstream, "a", 2, 100.0)
    assert picks(upstream, 4, 130.0).count("a") == 1

    upstream.record(by_id(upstream, "a"), Outcome.ABANDONED, 130.0, 131.0)

    assert picks(upstream, 4, 131.0).count("a") == 1


def test_all_breakers_open_is_a_refusal_with_the_time_to_wait(make_upstream: MakeUpstream) -> None:
    upstream = make_upstream("ab", circuit_breaker=BREAKER)
    picks(upstream, 2)
    fail(upstream, "a", 2, 100.0)
    fail(upstream, "b", 2, 105.0)

    assert upstream.pick(None, 110.0) is None
    refusal = upstream.refusal(110.0)

    assert refusal.reason is RefusalReason.BREAKER_OPEN
    assert refusal.retry_after == pytest.approx(20.0)


@pytest.mark.parametrize(
    ("endpoints", "reason"),
    [
        ([], RefusalReason.NO_ENDPOINTS),
        ([EndpointSpec("http", "a", 80, status=EndpointStatus.DOWN)], RefusalReason.ALL_DOWN),
        ([EndpointSpec("http", "a", 80, status=EndpointStatus.DRAIN)], RefusalReason.ALL_DOWN),
        ([EndpointSpec("http", "a", 80, weight=0)], RefusalReason.ALL_DOWN),
    ],
)
def test_a_refusal_says_why(endpoints: list[EndpointSpec], reason: RefusalReason, make_upstream: MakeUpstream) -> None:
    upstream = make_upstream(endpoints)

    assert upstream.pick(None, 100.0) is None
    assert upstream.refusal(100.0).reason is reason


@pytest.mark.parametrize(
    "strategy", ["round-robin", "weighted-round-robin", "random", "least-requests", "consistent-hash"]
)
def test_a_retry_goes_to_another_endpoint_while_there_is_one(strategy: str, make_upstream: MakeUpstream) -> None:
    upstream = make_upstream(strategy=strategy)
    a, b, c = upstream.endpoints

    assert set(picks(upstream, 30, key="k", attempted=[a, b])) == {"c"}
    assert set(picks(upstream, 60, attempted=[c])) == {"a", "b"}
    assert set(picks(upstream, 60, attempted=[a, b, c])) <= {"a", "b", "c"}
    assert "-" not in picks(upstream, 10, attempted=[a, b, c])


def test_a_retry_without_another_endpoint_goes_to_the_same(make_upstream: MakeUpstream) -> None:
    upstream = make_upstream("a")

    assert picks(upstream, 2, attempted=upstream.endpoints) == "aa"


def test_a_full_endpoint_is_passed_over_while_another_has_room(make_upstream: MakeUpstream) -> None:
    upstream = make_upstream(limits=UpstreamLimitsConfig.model_construct(max_connections_per_endpoint=2))
    by_id(upstream, "a").active = 2

    assert set(picks(upstream, 30)) == {"b", "c"}
    for endpoint in upstream.endpoints:
        endpoint.active = 2
    assert set(picks(upstream, 30)) == {"a", "b", "c"}, "all full: it is for the queue to decide"


def test_a_keyed_request_waits_for_its_own_endpoint(make_upstream: MakeUpstream) -> None:
    limits = UpstreamLimitsConfig.model_construct(max_connections_per_endpoint=2)
    upstream = make_upstream(strategy="consistent-hash", hash_on=("client_ip",), limits=limits)
    own = upstream.pick("10.0.0.1", 100.0)
    assert own is not None

    own.active = 5

    assert upstream.pick("10.0.0.1", 100.0) is own


def test_a_cookie_keeps_a_client_on_its_endpoint(make_upstream: MakeUpstream) -> None:
    upstream = make_upstream(sticky_cookie=StickyCookieConfig.model_construct(name="gw"))
    assert upstream.sticky is not None
    first = upstream.pick(None, 100.0)
    assert first is not None
    cookie = upstream.sticky.token(first)

    assert {upstream.pick(None, 100.0, (), cookie) for _ in range(5)} == {first}

    first.health.healthy = False
    first.notify()
    other = upstream.pick(None, 100.0, (), cookie)
    assert other is not None
    assert other is not first
    assert upstream.sticky.set_cookie(other, cookie) is not None
    assert upstream.pick(None, 100.0, (), "forged") is not None


def test_discovered_changes_are_in_force_at_the_next_pick(make_upstream: MakeUpstream) -> None:
    upstream = make_upstream("ab")
    old_b = by_id(upstream, "b")
    assert set(picks(upstream, 4)) == {"a", "b"}

    closing = upstream.change_endpoints([EndpointSpec("http", "c.test", 80, id="c")], ["a"])

    assert [endpoint.id for endpoint in closing] == ["a"]
    assert set(picks(upstream, 4)) == {"b", "c"}
    assert by_id(upstream, "b") is old_b


def test_a_reload_keeps_what_is_known_of_an_endpoint(make_upstream: MakeUpstream) -> None:
    policies = {"outlier_detection": OUTLIERS, "circuit_breaker": BREAKER}
    old = make_upstream(**policies)
    picks(old, 3)
    fail(old, "b", 2, 100.0)
    by_id(old, "c").health.healthy = False

    new = make_upstream("abcd", **policies)
    closing = old.release()

    assert closing == []
    assert set(picks(new, 12, 101.0)) == {"a", "d"}


def test_both_snapshots_see_a_change_of_a_shared_endpoint(make_upstream: MakeUpstream) -> None:
    old, new = make_upstream(), make_upstream()
    picks(old, 3)
    picks(new, 3)

    by_id(old, "a").health.healthy = False
    by_id(old, "a").notify()

    assert set(picks(old, 6)) == set(picks(new, 6)) == {"b", "c"}


def test_responses_pay_for_retries_of_a_burst(make_upstream: MakeUpstream) -> None:
    upstream = make_upstream(outlier_detection=OUTLIERS)
    endpoint = upstream.pick(None, 100.0)
    assert endpoint is not None

    for outcome in (200, 404, 503, Outcome.RESET, Outcome.ABANDONED, 200):
        upstream.record(endpoint, outcome, 100.0, 100.0)

    assert upstream.admission.load.earned == 3


actions = st.lists(
    st.tuples(
        st.sampled_from(["pick", "ok", "fail", "500", "leave", "sick", "well", "add", "remove", "wait"]),
        st.integers(0, 3),
    ),
    max_size=80,
)


def pick_what_may_be_picked(upstream: Upstream, key: str, now: float, backups: set[str]) -> list[Endpoint]:
    """Pick one endpoint or none, and assert what holds for every pick."""
    usable = [e for e in upstream.endpoints if e.breaker is None or e.breaker.allows(now)]
    any_fit = any(e.is_fit(now) for e in upstream.endpoints)
    chosen = upstream.pick(key, now)
    if chosen is None:
        assert not [e for e in usable if e.is_fit(now) or not any_fit]
        assert upstream.refusal(now).reason is not RefusalReason.ALL_DOWN
        return []
    assert chosen in usable
    assert chosen.is_fit(now) or not any_fit
    if chosen.id in backups and any_fit:
        assert not [e for e in usable if e.is_fit(now) and e.id not in backups]
    return [chosen]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=120)
@given(
    history=actions,
    strategy=st.sampled_from(["round-robin", "weighted-round-robin", "random", "least-requests", "consistent-hash"]),
    backups=st.sets(st.sampled_from("abcd")),
)
def test_no_history_picks_what_must_not_be_picked(
    history: list[tuple[str, int]], strategy: str, backups: set[str], make_upstream: MakeUpstream
) -> None:
    def spec(name: str, weight: int = 1) -> EndpointSpec:
        return EndpointSpec("http", f"{name}.test", 80, id=name, weight=weight, backup=name in backups)

    upstream = make_upstream(
        [spec(name) for name in "abc"], strategy=strategy, outlier_detection=OUTLIERS, circuit_breaker=BREAKER
    )
    now, under_way = 1_000.0, list[tuple[Endpoint, float]]()
    for action, number in history:
        name = "abcd"[number]
        if action == "wait":
            now += [0.5, 9.0, 10.0, 31.0][number]
        elif action == "add":
            upstream.change_endpoints([spec(name, number + 1)])
        elif action == "remove":
            upstream.change_endpoints([], [name])
        elif action in {"sick", "well"}:
            for endpoint in upstream.endpoints[number : number + 1]:
                endpoint.health.healthy = action == "well"
                endpoint.notify()
        elif action == "pick":
            under_way += [(e, now) for e in pick_what_may_be_picked(upstream, name, now, backups)]
        elif under_way:
            endpoint, started = under_way.pop(number % len(under_way))
            outcome = {"ok": 200, "fail": Outcome.RESET, "500": 500, "leave": Outcome.ABANDONED}[action]
            upstream.record(endpoint, outcome, started, now)
    ejected = Counter(endpoint.ejection.is_ejected(now) for endpoint in upstream.endpoints)
    upstream.release()
    assert ejected[True] <= max(4 // 2, 1)


BACKUPS = [
    EndpointSpec("http", "a.test", 80, id="a"),
    EndpointSpec("http", "b.test", 80, id="b"),
    EndpointSpec("http", "x.test", 80, id="x", backup=True),
]


@pytest.mark.parametrize("strategy", ["weighted-round-robin", "consistent-hash"])
def test_retries_reach_backups_once_every_other_endpoint_was_attempted(
    strategy: str, make_upstream: MakeUpstream
) -> None:
    upstream = make_upstream(BACKUPS, strategy=strategy)
    a, b, x = upstream.endpoints

    assert set(picks(upstream, 20)) == {"a", "b"}
    assert set(picks(upstream, 20, key="k", attempted=[a])) == {"b"}
    assert set(picks(upstream, 20, key="k", attempted=[a, b])) == {"x"}
    assert set(picks(upstream, 20, key="k", attempted=[a, b, x])) <= {"a", "b"}


def test_backups_serve_until_another_endpoint_is_well_again(make_upstream: MakeUpstream) -> None:
    upstream = make_upstream(BACKUPS)
    a, b, _ = upstream.endpoints
    for endpoint in (a, b):
        endpoint.health.healthy = False
        endpoint.notify()
    assert picks(upstream, 3) == "xxx"

    b.health.healthy = True
    b.notify()

    assert picks(upstream, 3) == "bbb"


def test_a_cookie_that_names_a_backup_counts_only_while_backups_serve(make_upstream: MakeUpstream) -> None:
    upstream = make_upstream(BACKUPS, sticky_cookie=StickyCookieConfig.model_construct(name="gw"))
    a, b, x = upstream.endpoints
    assert upstream.sticky is not None
    cookie = upstream.sticky.token(x)

    assert upstream.pick(None, 100.0, (), cookie) in {a, b}


def discovered(make_upstream: MakeUpstream, **settings: Any) -> Upstream:
    """An upstream whose endpoints a and b are discovered and c is configured."""
    return make_upstream("abc", configured=["c"], **settings)


def test_a_request_may_fail_over_while_another_endpoint_was_not_attempted(make_upstream: MakeUpstream) -> None:
    upstream = discovered(make_upstream)
    a, b, c = upstream.endpoints
    upstream.pick(None, 100.0)

    assert upstream.can_fail_over(a, ())
    assert upstream.can_fail_over(a, [b])
    assert not upstream.can_fail_over(a, [a, b, c])
    assert not upstream.can_fail_over(c, [])
