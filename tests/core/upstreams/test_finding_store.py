from __future__ import annotations

import json
from typing import Any

from gateway_core.upstreams import EndpointSpec, EndpointStatus
from gateway_core.upstreams.finding_store import Finding, FindingStore, spec_as_json, spec_of_json
from hypothesis import given
from hypothesis import strategies as st

specs = st.builds(
    EndpointSpec,
    st.sampled_from(["http", "https"]),
    st.sampled_from(["a", "b"]),
    st.integers(1, 3),
    st.sampled_from(["", "x", "y"]),
    st.integers(0, 2),
    st.sampled_from(EndpointStatus),
    st.booleans(),
)


@given(specs)
def test_an_endpoint_is_the_same_on_the_other_side(spec: EndpointSpec) -> None:
    assert spec_of_json(json.loads(json.dumps(spec_as_json(spec)))) == spec


def endpoints(put: list[list[Any]], remove: list[str], *, is_all: bool, known: bool = True) -> Finding:
    what = {"kind": "endpoints", "key": "k", "all": is_all, "put": put, "remove": remove}
    return {**what, "known": known, "stale": False, "reason": "" if known else "away", "strategy": ""}


@given(st.lists(st.tuples(st.lists(specs, max_size=3), st.lists(st.sampled_from(["x", "y", "a:1"])), st.booleans())))
def test_everything_tells_a_newcomer_what_all_findings_told_the_others(
    changes: list[tuple[list[EndpointSpec], list[str], bool]],
) -> None:
    store, newcomer = FindingStore(), FindingStore()
    expected: dict[str, EndpointSpec] = {}

    for put, remove, is_all in changes:
        store.apply(endpoints([spec_as_json(spec) for spec in put], remove, is_all=is_all))
        expected = {} if is_all else {name: spec for name, spec in expected.items() if name not in remove}
        expected |= {spec.id: spec for spec in put}
    for finding in store.everything():
        newcomer.apply(json.loads(json.dumps(finding)))

    found = {name: spec_of_json(fields) for name, fields in newcomer.endpoints.get("k", {}).items()}
    assert found == expected
    assert newcomer.everything() == store.everything()


def test_who_begins_to_watch_takes_nothing_away_before_its_first_result() -> None:
    store = FindingStore()
    spec = spec_as_json(EndpointSpec("http", "a", 80))
    store.apply(endpoints([spec], [], is_all=True))

    store.apply(endpoints([], [], is_all=False, known=False))

    told = store.everything()[0]
    assert (told["put"], told["known"], told["stale"], told["reason"]) == ([spec], True, True, "away")


def test_what_is_watched_no_longer_is_forgotten() -> None:
    store = FindingStore()
    store.apply(endpoints([], [], is_all=True))
    store.apply({"kind": "health", "results": [["c", True, 1.0, 0.1, ""], ["d", True, 1.0, 0.1, ""]]})

    store.apply({"kind": "gone", "key": "c"})
    assert list(store.results) == ["d"]
    store.apply({"kind": "only", "keys": ["k"]})
    assert (list(store.results), list(store.states)) == ([], ["k"])


async def test_a_process_that_is_slow_to_read_gets_everything_at_once_instead_of_a_queue_without_end() -> None:
    store = FindingStore()
    queue = store.subscribe()

    for number in range(3000):
        finding = {"kind": "health", "results": [["k", True, float(number), 0.1, ""]]}
        store.apply(finding)

    received, waiting = FindingStore(), len(queue)
    for _ in range(waiting):
        received.apply(await queue.get())
    assert waiting < 2000
    assert received.results == store.results
