"""Versions of real gateways: kept, compared, rolled back to, and pinned until they are not."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.end_to_end.admin_kit import Api
from tests.end_to_end.kit import Gateway, Upstream, get

CONFIG = """
listen: "127.0.0.1:0"
workers: {workers}
upstreams: [{{name: users, endpoints: [{{url: "{url}"}}]}}]
routes:
  - id: users
    path: /{path}
    target: users
    plugins: [{{name: headers, config: {{request: {{set: {{x-a: {path}-secret}}}}}}}}]
"""


async def served(url: str, *paths: str) -> list[int]:
    return [(await get(url, f"/{path}"))[0] for path in paths]


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_rollback_pins_a_version_until_unpin(
    start: Callable[..., Gateway],
    upstream: Upstream,
    api: Api,
    workers: int,
    tmp_path: Path,
) -> None:
    def text(path: str) -> str:
        return CONFIG.format(workers=workers, url=upstream.url, path=path)

    running = start(text("one"))
    url = await running.ready()
    await running.rewrites(text("two"))
    _, history, _ = await api("GET", "config/history")
    assert [each["number"] for each in history["versions"]] == [2, 1]
    assert history["pinned"] is None

    status, outcome, _ = await api("POST", "config:rollback", {"number": 1, "reason": "bad deploy"})
    assert (status, outcome["result"]) == (200, "ok")
    assert await served(url, "one", "two") == [200, 404]

    await running.rewrites(text("three"), r"version 1 is pinned by local: bad deploy")
    assert await served(url, "one", "three") == [200, 404]
    await running.rewrites("nonsense: 1", r"rejected and not applied: version 1 is pinned")
    assert (await api("GET", "overview"))[1]["pinned"]["number"] == 1
    status, problem, _ = await api("PUT", "routes/x", {"path": "/x", "target": "users"}, {"If-None-Match": "*"})
    assert (status, problem["code"]) == (409, "pinned")

    running.process.send_signal(signal.SIGKILL)
    await asyncio.to_thread(running.process.wait)
    for file in (tmp_path / "runtime" / "gateway").glob("*.sock"):
        file.unlink()
    again = start("", path=tmp_path / "gateway.yaml")
    url = await again.ready()
    assert await served(url, "one", "three") == [200, 404]

    (tmp_path / "gateway.yaml").write_text(text("four"))
    status, outcome, _ = await api("POST", "config:unpin", {})
    assert status == 422
    status, outcome, _ = await api("POST", "config:unpin")
    assert (status, outcome["result"]) == (200, "ok")
    assert await served(url, "one", "four") == [404, 200]
    assert (await api("POST", "config:unpin"))[0] == 409
    await again.stops()


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_dry_run_of_a_rollback_shows_what_would_change_and_changes_nothing(
    start: Callable[..., Gateway], upstream: Upstream, api: Api, workers: int
) -> None:
    def text(path: str, count: int = workers) -> str:
        return CONFIG.format(workers=count, url=upstream.url, path=path)

    running = start(text("one", count=3 - workers))
    url = await running.ready()
    await running.rewrites(text("two"))
    await running.rewrites(text("three"))

    status, found, _ = await api("POST", "config:rollback?dry_run=true", {"number": 1})
    assert (status, found["result"]) == (200, "ok")
    assert [each["path"] for each in found["differences"]] == [
        "workers", "routes[users].path", "routes[users].plugins[headers].config",
    ]  # fmt: skip
    assert "secret" not in json.dumps(found)
    assert (await api("POST", "config:rollback?dry_run=true", {"number": 9}))[0] == 404

    _, history, _ = await api("GET", "config/history")
    assert ([each["number"] for each in history["versions"]], history["pinned"]) == ([3, 2, 1], None)
    assert await served(url, "one", "three") == [404, 200]
    await running.stops()


async def test_versions_are_shown_and_compared_without_secrets(
    start: Callable[..., Gateway],
    upstream: Upstream,
    api: Api,
) -> None:
    running = start(CONFIG.format(workers=1, url=upstream.url, path="one"))
    await running.ready()
    await running.rewrites(CONFIG.format(workers=1, url=upstream.url, path="two"))

    _, version, _ = await api("GET", "config/history/1")
    _, diff, _ = await api("GET", "config/diff?old=1&new=2")

    assert version["config"]["routes"][0]["path"] == ["/one"]
    paths = [each["path"] for each in diff["differences"]]
    assert paths == ["routes[users].path", "routes[users].plugins[headers].config"]
    assert "secret" not in json.dumps([version, diff])
    assert (await api("GET", "config/history/9"))[0] == 404
    assert (await api("GET", "config/diff?old=1"))[0] == 422
    assert (await api("POST", "config:rollback", {"number": 9}))[0] == 404
    await running.stops()


async def test_a_write_that_meets_a_rollback_is_not_said_to_be_in_force(
    start: Callable[..., Gateway], upstream: Upstream, api: Api
) -> None:
    running = start(CONFIG.format(workers=1, url=upstream.url, path="one"))
    await running.ready()
    await running.rewrites(CONFIG.format(workers=1, url=upstream.url, path="two"))
    bad = {"path": "/x", "nonsense": 1}

    replies = await asyncio.gather(
        api("POST", "config:rollback", {"number": 1}),
        *(api("PUT", f"routes/{number}", bad, {"If-None-Match": "*"}) for number in range(4)),
    )

    # Each came before the rollback, and was rejected, or after it.
    assert replies[0][0] == 200
    assert {status for status, _, _ in replies[1:]} <= {409, 422}
    assert (await api("GET", "config/document"))[1]["revision"] == 0
    await running.stops()


async def test_a_new_program_keeps_the_pin(start: Callable[..., Gateway], upstream: Upstream, api: Api) -> None:
    running = start(CONFIG.format(workers=2, url=upstream.url, path="one"))
    url = await running.ready()
    await running.rewrites(CONFIG.format(workers=2, url=upstream.url, path="two"))
    assert (await api("POST", "config:rollback", {"number": 1}))[0] == 200

    os.kill(running.process.pid, signal.SIGUSR2)
    await running.says("restarted|taken over")

    assert await served(url, "one", "two") == [200, 404]
    assert (await api("GET", "config/history"))[1]["pinned"]["number"] == 1
    await running.stops()


async def test_a_rollback_brings_no_token_back_and_files_revoke_tokens_of_a_pinned_version(
    start: Callable[..., Gateway], upstream: Upstream, api: Api, unused_tcp_port: int, tmp_path: Path
) -> None:
    def text(path: str, *tokens: str) -> str:
        named = "".join(
            f"\n    - {{name: {each}, role: editor, hash: 'sha256:{hashlib.sha256(each.encode()).hexdigest()}'}}"
            for each in tokens
        )
        admin = f"admin:\n  listen: 127.0.0.1:{unused_tcp_port}\n  tokens: {named or '[]'}\n"
        return CONFIG.format(workers=1, url=upstream.url, path=path) + admin

    async def lets_in(token: str) -> bool:
        def send() -> int:
            connection = http.client.HTTPConnection("127.0.0.1", unused_tcp_port, timeout=30)
            connection.request("GET", "/api/v1/overview", headers={"Authorization": f"Bearer {token}"})
            status = connection.getresponse().status
            connection.close()
            return status

        return await asyncio.to_thread(send) == 200

    running = start(text("one", "old", "both"))
    await running.ready()
    assert (await lets_in("old"), await lets_in("both")) == (True, True)
    await running.rewrites(text("two", "both", "third"))
    assert (await lets_in("old"), await lets_in("both")) == (False, True)

    assert (await api("POST", "config:rollback", {"number": 1}))[0] == 200
    assert (await lets_in("old"), await lets_in("both"), await lets_in("third")) == (False, True, True)
    await running.rewrites(text("three", "third"), "valid and not applied")
    assert (await lets_in("both"), await lets_in("third")) == (False, True)
    await running.rewrites("nonsense: 1", "rejected and not applied")
    assert (await lets_in("both"), await lets_in("third")) == (False, True)

    running.process.send_signal(signal.SIGKILL)
    await asyncio.to_thread(running.process.wait)
    for file in (tmp_path / "runtime" / "gateway").glob("*.sock"):
        file.unlink()
    again = start("", path=tmp_path / "gateway.yaml")
    await again.ready()
    assert (await lets_in("old"), await lets_in("third")) == (False, False)
    await again.rewrites(text("four", "third"), "valid and not applied")
    assert (await lets_in("old"), await lets_in("third")) == (False, True)
    await again.stops()
