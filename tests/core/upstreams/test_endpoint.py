from __future__ import annotations

import pytest
from gateway_core.config import CircuitBreakerConfig, EndpointConfig
from gateway_core.leases import Lease, Leases
from gateway_core.upstreams import Endpoint, EndpointSpec, EndpointStatus
from gateway_core.upstreams.endpoint import Checked, Membership
from gateway_core.upstreams.health import HealthState
from hypothesis import given
from hypothesis import strategies as st


class Pool:
    def __init__(self, fails: bool = False) -> None:
        self.closed = 0
        self.fails = fails

    async def aclose(self) -> None:
        self.closed += 1
        if self.fails:
            raise RuntimeError("pool")


class Health:
    """An address that is checked."""

    def __init__(self) -> None:
        self.health = HealthState()
        self.closed = 0

    async def aclose(self) -> None:
        self.closed += 1


class Watch:
    def __init__(self) -> None:
        self.calls = 0

    def invalidate(self) -> None:
        self.calls += 1


@pytest.mark.parametrize(
    ("url", "spec", "authority"),
    [
        ("http://10.0.0.1:8080", ("http", "10.0.0.1", 8080), b"10.0.0.1:8080"),
        ("https://users.test", ("https", "users.test", 443), b"users.test"),
        ("http://Users.test:80/", ("http", "users.test", 80), b"users.test"),
        ("http://[::1]:9000", ("http", "::1", 9000), b"[::1]:9000"),
        ("https://users.test:80", ("https", "users.test", 80), b"users.test:80"),
    ],
)
def test_an_origin_is_read_into_its_parts(url: str, spec: tuple[str, str, int], authority: bytes) -> None:
    endpoint = EndpointSpec.from_url(url)

    assert (endpoint.scheme, endpoint.host, endpoint.port) == spec
    assert Endpoint(endpoint).authority == authority


@pytest.mark.parametrize(
    "url",
    ["ftp://a", "10.0.0.1:80", "http://", "http://a/x", "http://a?q", "http://u@a", "http://a#f", "http://a:99999"],
)
def test_anything_more_or_less_than_an_origin_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        EndpointSpec.from_url(url)


def test_a_negative_weight_is_refused() -> None:
    with pytest.raises(ValueError, match="weight -1 of endpoint a:80"):
        EndpointSpec("http", "a", 80, weight=-1)


@pytest.mark.parametrize("host", ["", "no host", "a/b", "u@a", "[::1]", "a\r\nX: y", "10.0.0.300", "a" * 64, "ä" * 80])
def test_a_host_that_can_be_none_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match="is neither a host name nor an IP address"):
        EndpointSpec("http", host, 80)


def test_the_id_is_the_address_unless_given() -> None:
    assert EndpointSpec("http", "::1", 80).id == "[::1]:80"
    assert EndpointSpec("http", "a", 80, id="x", status=EndpointStatus.DRAIN).id == "x"


def test_usable_means_healthy_not_ejected_and_let_through_by_the_breaker() -> None:
    endpoint = Endpoint(
        EndpointSpec("http", "a", 80), CircuitBreakerConfig.model_construct(minimum_requests=1, open_for=10)
    )
    assert endpoint.is_usable(100.0)

    endpoint.ejection.until = 101.0
    assert not endpoint.is_usable(100.0)
    assert endpoint.is_usable(101.0)

    endpoint.health.healthy = False
    assert not endpoint.is_usable(101.0)
    endpoint.health.healthy = True

    assert endpoint.breaker is not None
    endpoint.breaker.record_failure(101.0, 101.0)
    assert not endpoint.is_usable(101.0)
    assert endpoint.is_usable(111.0)


def test_watchers_are_told_until_they_leave() -> None:
    endpoint, watch = Endpoint(EndpointSpec("http", "a", 80)), Watch()
    endpoint.watch(watch)
    endpoint.notify()

    endpoint.unwatch(watch)
    endpoint.notify()

    assert watch.calls == 1


async def test_closing_closes_the_pool_and_gives_the_health_back_once_even_if_one_fails() -> None:
    endpoint, pool, other = Endpoint(EndpointSpec("http", "a", 80)), Pool(fails=True), Health()
    endpoint.pool = pool
    checks: Leases[str, Checked] = Leases()
    endpoint.follow(checks.acquire("a", lambda: other))

    with pytest.raises(RuntimeError):
        await endpoint.aclose()
    await endpoint.aclose()

    assert (pool.closed, other.closed) == (1, 1)


@pytest.mark.parametrize("url", ["http://me:hunter2@h:1", "ftp://me:hunter2@h", "http://me:hunter2@h/path"])
def test_credentials_of_a_refused_url_are_not_shown(url: str) -> None:
    with pytest.raises(ValueError, match=r"h") as caught:
        EndpointSpec.from_url(url)

    assert "hunter2" not in str(caught.value)


def test_an_endpoint_on_a_unix_socket_is_called_by_its_path() -> None:
    config = EndpointConfig(url="unix:/run/users.sock", weight=4, backup=True)
    spec = EndpointSpec.of(config)
    endpoint = Endpoint(spec)

    assert (spec.id, spec.path, spec.url, spec.weight, spec.backup) == (
        "/run/users.sock",
        "/run/users.sock",
        "unix:/run/users.sock",
        4,
        True,
    )
    assert EndpointSpec.from_url("unix:/run/users.sock", weight=4).id == "/run/users.sock"
    assert (endpoint.authority, endpoint.path) == (b"localhost", "/run/users.sock")


def test_a_configured_endpoint_has_its_origin_id_weight_and_status() -> None:
    spec = EndpointSpec.of(EndpointConfig(url="https://[::1]", id="x", weight=4, status="drain"))

    assert (spec.scheme, spec.host, spec.port, spec.id, spec.weight) == ("https", "::1", 443, "x", 4)
    assert spec.status is EndpointStatus.DRAIN


# --- which endpoints there are


class Leased:
    def __init__(self) -> None:
        self.leases: Leases[tuple[str, int], Endpoint] = Leases()
        self.acquired = 0

    def acquire(self, spec: EndpointSpec) -> Lease[Endpoint]:
        self.acquired += 1
        return self.leases.acquire((spec.host, spec.port), lambda: Endpoint(spec))


def spec(name: str, weight: int = 1, status: EndpointStatus = EndpointStatus.UP) -> EndpointSpec:
    return EndpointSpec("http", f"{name}.test", 80, id=name, weight=weight, status=status)


def make() -> tuple[Membership, Leased]:
    pool = Leased()
    return Membership(pool.acquire, Watch()), pool


def test_unchanged_endpoints_are_not_touched() -> None:
    members, pool = make()
    members.replace([spec("a"), spec("b")])
    before = [endpoint for _, endpoint in members]

    closing = members.replace([spec("a"), spec("b"), spec("c")])

    assert closing == []
    assert pool.acquired == 3
    assert [endpoint for _, endpoint in members][:2] == before


def test_removed_endpoints_are_returned_to_be_closed() -> None:
    members, _ = make()
    members.replace([spec("a"), spec("b")])

    closing = members.replace([spec("b")])

    assert [endpoint.id for endpoint in closing] == ["a"]


def test_an_endpoint_that_another_snapshot_uses_is_not_closed() -> None:
    pool = Leased()
    old_watch, new_watch = Watch(), Watch()
    old, new = Membership(pool.acquire, old_watch), Membership(pool.acquire, new_watch)
    old.replace([spec("a")])
    new.replace([spec("a")])

    assert old.replace([]) == []
    next(iter(new))[1].notify()

    assert (old_watch.calls, new_watch.calls) == (0, 1), "who has left is not told of changes any more"
    assert len(new.replace([])) == 1


def test_a_new_weight_or_status_keeps_the_state() -> None:
    members, _ = make()
    members.replace([spec("a"), spec("b")])
    endpoint = next(iter(members))[1]

    closing = members.replace([spec("a", weight=5), spec("b", status=EndpointStatus.DRAIN)])

    assert closing == []
    assert list(members.weighted(backup=False)) == [(endpoint, 5)]


def test_what_is_down_or_draining_or_weightless_gets_nothing() -> None:
    members, _ = make()
    members.replace(
        [
            spec("a"),
            spec("b", status=EndpointStatus.DOWN),
            spec("c", status=EndpointStatus.DRAIN),
            spec("d", weight=0),
        ]
    )

    assert [endpoint.id for endpoint, _ in members.weighted(backup=False)] == ["a"]
    assert len(members) == 4


def test_an_id_may_move_to_another_address() -> None:
    members, _ = make()
    members.replace([EndpointSpec("http", "one.test", 80, id="x")])

    closing = members.replace([EndpointSpec("http", "two.test", 80, id="x")])

    assert [endpoint.host for endpoint in closing] == ["one.test"]
    assert [endpoint.host for _, endpoint in members] == ["two.test"]


def test_what_leaves_with_requests_under_way_is_shown_until_they_end() -> None:
    members, _ = make()
    members.replace([spec("a"), spec("b")])
    for _, endpoint in members:
        endpoint.active = 1 if endpoint.id == "a" else 0

    (busy, _) = members.replace([])

    assert members.leaving() == [busy]
    busy.active = 0
    assert members.leaving() == []


names = st.sampled_from("abcdef")


@given(st.lists(st.lists(st.tuples(names, st.integers(0, 3)), max_size=8), max_size=8))
def test_changes_one_after_the_other_leave_exactly_the_last_list(lists: list[list[tuple[str, int]]]) -> None:
    members, pool = make()
    for entries in lists:
        closing = members.replace([spec(name, weight) for name, weight in entries])

        wanted = dict(entries)
        assert {s.id: s.weight for s, _ in members} == wanted
        assert len(pool.leases) == len(wanted)
        assert not {endpoint.id for endpoint in closing} & wanted.keys()


@given(st.sets(names), st.lists(st.tuples(names, st.booleans()), max_size=20))
def test_single_changes_equal_a_new_list(start: set[str], changes: list[tuple[str, bool]]) -> None:
    members, _ = make()
    members.replace([spec(name) for name in start])
    wanted = set(start)
    for name, add in changes:
        if add:
            wanted.add(name)
            members.change([spec(name)])
        else:
            wanted.discard(name)
            members.change([], [name])

    assert {s.id for s, _ in members} == wanted


def test_endpoints_may_come_and_go_while_they_are_looked_at() -> None:
    members, _ = make()
    members.replace([spec("a"), spec("b")])

    looking = iter(members)
    next(looking)
    members.change([spec("c")], ["b"])

    assert [endpoint.id for _, endpoint in looking] == ["b"]
