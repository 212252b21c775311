from __future__ import annotations

from typing import Any

from gateway_core.cli.status import lines_of

NOW = 1_700_000_000.0  # 2023-11-14T22:13:20Z


def endpoint(**fields: Any) -> dict[str, Any]:
    plain = {"id": "10.0.0.1:80", "state": "up", "active": 1, "last_error": None, "last_check_error": None}
    return {**plain, "breaker": None, **fields}


def upstream(*endpoints: dict[str, Any], worker: int = 0) -> dict[str, Any]:
    return {"worker": worker, "name": "users", "strategy": "round-robin", "endpoints": list(endpoints)}


def status(**fields: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "state": "ready",
        "unready": "",
        "degraded": [],
        "gateway": {
            "version": "0.1.0",
            "pid": 812,
            "started_at": "2023-11-14T19:01:20.000+00:00",
            "urls": ["http://127.0.0.1:8080"],
            "admin": None,
            "dropped_log_lines": 0,
        },
        "version": "v1" * 32,
        "in_flight": 3,
        "connections": 1,
        "last_reload": None,
        "last_failed_reload": None,
    }
    return {**plain, **fields}


def reload(
    result: str, reason: str, *problems: dict[str, Any], at: str = "2023-11-14T22:11:20+00:00"
) -> dict[str, Any]:
    return {"result": result, "at": at, "trigger": "gateway.yaml changed", "reason": reason, "problems": problems}


def shown(**fields: Any) -> list[str]:
    return list(lines_of(status(**fields), NOW))


def test_a_gateway_of_one_process_is_a_few_lines() -> None:
    assert shown(last_reload=reload("ok", "routes changed: orders")) == [
        "gateway 0.1.0, process 812, up 3 h 12 min",
        "state          ready",
        "listening      http://127.0.0.1:8080",
        "admin          -",
        "configuration  v1v1v1v1v1v1",
        "last reload    ok 2 min ago, gateway.yaml changed: routes changed: orders",
        "requests       3 in flight, 1 connection",
    ]


def test_what_is_wrong_stands_below_the_state() -> None:
    lines = shown(state="unready", unready="draining")
    assert lines[1] == "state          unready: draining"

    lines = shown(state="degraded", degraded=["the last reload failed", "source etcd://a is stale"])
    assert lines[1:4] == ["state          degraded", "  - the last reload failed", "  - source etcd://a is stale"]


def test_a_rejected_reload_is_shown_with_the_places_of_its_problems() -> None:
    problem = {
        "file": "g.yaml",
        "line": 4,
        "column": 3,
        "key": "workers",
        "message": "is wrong",
        "code": "value.invalid",
    }
    failed = reload("rejected", "rejected", problem)

    lines = shown(last_reload=failed, last_failed_reload=failed)

    assert "last reload    rejected 2 min ago, gateway.yaml changed" in lines
    assert "  g.yaml:4:3: workers: is wrong (value.invalid)" in lines
    assert not any(line.startswith("last failure") for line in lines)


def test_an_earlier_failure_is_shown_beside_a_later_success() -> None:
    failed = reload("failed", "no descriptors", at="2023-11-13T22:13:20+00:00")

    lines = shown(last_reload=reload("ok", ""), last_failed_reload=failed)

    assert "last failure   failed 1 d ago, gateway.yaml changed: no descriptors" in lines


def test_endpoints_of_all_workers_are_one_line_each() -> None:
    ejected = endpoint(state="ejected", last_error="connection reset")
    lines = shown(upstreams=[upstream(endpoint()), upstream(ejected, worker=1)])

    assert [line.split("  ")[0] for line in lines[-2:]] == ["UPSTREAM", "users"]
    assert lines[-1].endswith("2       connection reset")
    assert "ejected (1 of 2 workers), up" in lines[-1]


def test_an_open_breaker_is_a_state_of_an_endpoint() -> None:
    lines = shown(upstreams=[upstream(endpoint(breaker={"state": "open"}))])

    assert "breaker open" in lines[-1]


def test_an_upstream_without_endpoints_is_not_left_out() -> None:
    assert "no endpoints" in shown(upstreams=[upstream()])[-1]


def test_workers_sources_and_certificates_are_tables() -> None:
    worker = {"number": 0, "pid": 7, "version": "v1", "in_flight": 0, "connections": 2, "retiring_snapshots": 1}
    got = {"last_success": "2023-11-14T20:13:20+00:00", "last_failure": "2023-11-14T21:13:20+00:00", "error": "refused"}
    lines = shown(
        workers=[worker],
        sources=[
            {
                "source": "etcd://a",
                "stale": True,
                "rejected": ["etcd://a/team-b"],
                "confirmed_at": NOW - 90,
                "reason": "refused",
            }
        ],
        certificates=[
            {"listener": ":443", "name": "CN=a.test", "not_after": "2023-11-14T21:13:20+00:00", "issuance": None},
            {"listener": ":443", "name": "CN=b.test", "not_after": "2023-12-14T22:13:20+00:00", "issuance": got},
            {"listener": ":443", "name": "CN=c.test", "not_after": None, "issuance": {**got, "last_success": None}},
        ],
    )

    text = [" ".join(line.split()) for line in lines]
    assert "0 7 v1 0 2 1" in text
    assert "etcd://a stale etcd://a/team-b 1 min 30 s ago refused" in text
    assert ":443 CN=a.test expired 1 h ago - -" in text
    assert ":443 CN=b.test in 30 d 2 h ago 1 h ago: refused" in text
    assert ":443 CN=c.test - never 1 h ago: refused" in text


def test_recent_warnings_of_all_processes_are_shown_the_latest_first_and_equal_ones_once() -> None:
    def event(message: str, at: str, lines: int = 1) -> dict[str, Any]:
        return {"event": "upstream.reset", "level": "warning", "message": message, "at": at, "lines": lines}

    workers: list[dict[str, Any]] = [
        {"number": number, "pid": 1, "version": "v", "in_flight": 0, "connections": 0, "retiring_snapshots": 0}
        for number in (0, 1)
    ]
    workers[0]["recent_events"] = [event("a", "2023-11-14T22:12:20+00:00", 2)]
    workers[1]["recent_events"] = [event("a", "2023-11-14T22:13:00+00:00", 3)]
    own = [event("b", "2023-11-14T22:12:50+00:00")]

    assert shown(workers=workers, recent_events=own)[-3:] == [
        "LOGGED    EVENT           LINES  MESSAGE",
        "20 s ago  upstream.reset  5      a",
        "30 s ago  upstream.reset  1      b",
    ]


def test_discoveries_are_shown_with_their_age_and_why_they_are_stale() -> None:
    stale = {"endpoints": 2, "stale": True, "for": 62.5, "reason": "no name server responds"}
    fine = {"endpoints": 1, "stale": False, "for": 5.0, "reason": ""}
    upstreams: list[dict[str, Any]] = [
        {"name": name, "strategy": "random", "endpoints": [], "discovery": discovery}
        for name, discovery in (("users", stale), ("users", stale), ("orders", fine), ("static", None))
    ]

    lines = shown(upstreams=upstreams)

    text = [" ".join(line.split()) for line in lines]
    first = text.index("DISCOVERY OF STATE ENDPOINTS REASON")
    assert text[first + 1 : first + 4] == ["users stale for 1 min 2 s 2 no name server responds", "orders ok 1 -", ""]


def test_what_others_wrote_changes_no_terminal_and_begins_no_line() -> None:
    reason = "disk\x1b]0;title\x07\nadmin  -\u202e"
    override = {"kind": "drain", "upstream": "users", "name": "a\x9b2J", "by": "ops", "reason": reason}
    pinned = {"number": 3, "by": "ops", "reason": reason}

    lines = shown(overrides=[{**override, "expires": "2023-11-14T23:13:20+00:00"}], pinned=pinned, degraded=[reason])

    assert all(line.isprintable() for line in lines)
    assert r"override       drain users/a\x9b2J, by ops: disk\x1b]0;title\x07\nadmin  -\u202e; ends in 1 h" in lines
    assert len([line for line in lines if line.startswith("admin ")]) == 1
