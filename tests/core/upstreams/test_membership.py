from __future__ import annotations

from gateway_core.leases import Lease, Leases
from gateway_core.upstreams import Endpoint, EndpointSpec, EndpointStatus
from gateway_core.upstreams.membership import Membership
from hypothesis import given
from hypothesis import strategies as st


class Watch:
    def __init__(self) -> None:
        self.calls = 0

    def invalidate(self) -> None:
        self.calls += 1


class Pool:
    def __init__(self) -> None:
        self.leases: Leases[tuple[str, int], Endpoint] = Leases()
        self.acquired = 0

    def acquire(self, spec: EndpointSpec) -> Lease[Endpoint]:
        self.acquired += 1
        return self.leases.acquire((spec.host, spec.port), lambda: Endpoint(spec))


def spec(name: str, weight: int = 1, status: EndpointStatus = EndpointStatus.UP) -> EndpointSpec:
    return EndpointSpec("http", f"{name}.test", 80, id=name, weight=weight, status=status)


def make() -> tuple[Membership, Pool]:
    pool = Pool()
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
    pool = Pool()
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
    assert members.candidates(backup=False).endpoints == (endpoint,)
    assert members.candidates(backup=False).weights == (5,)


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

    assert [endpoint.id for endpoint in members.candidates(backup=False).endpoints] == ["a"]
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
