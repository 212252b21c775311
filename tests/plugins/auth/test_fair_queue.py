from __future__ import annotations

from collections import Counter, deque

from gateway_plugin_auth.fair_queue import FairQueue
from hypothesis import given
from hypothesis import strategies as st

flows = st.tuples(st.sampled_from("abcd"), st.sampled_from("xyz"))
Item = tuple[str, str, int]


@given(st.lists(flows | st.none(), max_size=80), st.integers(1, 12), st.integers(1, 6), st.integers(1, 8))
def test_what_is_put_is_taken_evicted_or_waits_within_all_bounds(
    steps: list[tuple[str, str] | None], most: int, per_client: int, per_name: int
) -> None:
    queue: FairQueue[Item] = FairQueue(most, per_client, per_name)
    waiting: list[Item] = []

    for number, flow in enumerate(steps):
        if flow is None:
            taken = queue.take()
            assert (taken is None) == (not waiting)
            if taken is not None:
                assert taken == next(item for item in waiting if item[:2] == taken[:2]), "a flow is in order"
                waiting.remove(taken)
        else:
            waiting.append((*flow, number))
            evicted = queue.put((*flow, number), *flow)
            if evicted is not None:
                waiting.remove(evicted)
        assert len(queue) == len(waiting) <= most
        assert all(count <= per_client for count in Counter(item[0] for item in waiting).values())
        assert all(count <= per_name for count in Counter(item[1] for item in waiting).values())

    assert sorted(iter(queue.take, None)) == sorted(waiting)


@given(st.lists(flows, max_size=60), st.sampled_from("abcd"))
def test_a_client_with_less_than_its_share_is_never_refused(before: list[tuple[str, str]], client: str) -> None:
    queue: FairQueue[Item] = FairQueue(most=8, most_per_client=4, most_per_name=8)
    for number, flow in enumerate(before):
        queue.put((*flow, number), *flow)
    own = sum(item[0] == client for item in list(_all(queue, before)))

    # Four clients share eight places: one without a place gets one, whatever the others sent.
    if own == 0:
        evicted = queue.put((client, "x", -1), client, "x")
        assert evicted is None or evicted[0] != client


def _all(queue: FairQueue[Item], before: list[tuple[str, str]]) -> list[Item]:
    copied: FairQueue[Item] = FairQueue(most=8, most_per_client=4, most_per_name=8)
    for number, flow in enumerate(before):
        copied.put((*flow, number), *flow)
    assert len(copied) == len(queue)
    return list(iter(copied.take, None))


@given(st.lists(flows, min_size=1, max_size=60))
def test_clients_and_names_take_turns(items: list[tuple[str, str]]) -> None:
    queue: FairQueue[tuple[str, str]] = FairQueue(100, 100, 100)
    for flow in items:
        queue.put(flow, *flow)
    left = Counter(items)
    turns: deque[str] = deque(maxlen=len({client for client, _ in items}))

    while (taken := queue.take()) is not None:
        clients = {client for client, _ in left}
        overdue = [client for client in clients if client not in turns]
        assert not overdue or taken[0] not in list(turns)[-len(clients) + 1 :] or len(clients) == 1
        turns.append(taken[0])
        left -= Counter([taken])


def test_one_client_waits_behind_its_own_and_others_do_not() -> None:
    queue: FairQueue[str] = FairQueue(100, 16, 64)
    for number in range(16):
        queue.put(f"guess {number}", "attacker", "alice")
    queue.put("login", "other", "alice")
    queue.put("of another name", "attacker", "bob")

    assert [queue.take() for _ in range(4)] == ["guess 0", "login", "of another name", "guess 1"]


def test_the_newest_guess_at_the_most_tried_name_makes_room() -> None:
    queue: FairQueue[str] = FairQueue(100, 3, 64)
    for number in range(3):
        assert queue.put(f"alice {number}", "c", "alice") is None

    assert queue.put("alice 3", "c", "alice") == "alice 3"
    assert queue.put("bob 0", "c", "bob") == "alice 2"
    assert queue.put("bob 1", "c", "bob") == "bob 1"
    assert queue.put("carol 0", "c", "carol") == "alice 1"
    assert queue.put("dan 0", "c", "dan") == "dan 0"
