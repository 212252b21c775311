"""The commands that compare, list and exchange configurations: diff, history, rollback, unpin."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.end_to_end.kit import Gateway, Upstream, get, get_over_both
from tests.end_to_end.test_running_gateway import gateway, runtime

__all__ = ["runtime"]

pytestmark = pytest.mark.timeout(300)

CONFIG = """
listen: "127.0.0.1:0"
workers: 2
upstreams: [{{name: users, endpoints: [{{url: "{url}"}}]}}]
routes:
  - id: users
    path: /{path}
    target: users
    plugins: [{{name: headers, config: {{request: {{set: {{x-a: {path}-secret}}}}}}}}]
"""


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


async def test_a_bad_deploy_is_found_rolled_back_and_mended_by_commands(
    start: Callable[..., Gateway], upstream: Upstream
) -> None:
    def text(path: str) -> str:
        return CONFIG.format(url=upstream.url, path=path)

    running = start(text("one"))
    url = await running.ready()
    same = await gateway("diff")
    assert (same.returncode, same.stdout, same.stderr) == (0, "", "")
    await running.rewrites(text("two"))

    versions = await gateway("diff", "1", "2")
    assert (versions.returncode, versions.stderr) == (1, "")
    assert versions.stdout.splitlines()[:3] == ["routes[users].path", "- - /one", "+ - /two"]
    assert "secret" not in versions.stdout
    assert (await gateway("diff", "1")).stdout == versions.stdout
    assert (await gateway("diff", "2", "running")).returncode == 0

    listed = await gateway("history")
    lines = listed.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["NUMBER", "2", "1"]
    assert "(running)" in lines[1]
    assert max(map(len, lines)) <= 80
    assert json.loads((await gateway("history", "--json")).stdout)["versions"][1]["number"] == 1
    assert "/one" in (await gateway("history", "1")).stdout

    tried = await gateway("rollback", "--dry-run", "1")
    assert (tried.returncode, tried.stderr) == (0, "")
    assert tried.stdout.splitlines()[:2] == [
        "version 1 can be put in force, and it would change:",
        "routes[users].path",
    ]
    assert (await gateway("rollback", "--dry-run", "9")).returncode == 1
    assert (await get(url, "/two"))[0] == 200  # nothing was applied

    back = await gateway("rollback", "1", "--reason", "bad deploy")
    assert back.returncode == 0, back.stderr
    assert back.stdout.startswith("version 1 is in force and pinned: ")
    assert "until gateway unpin" in back.stdout
    assert (await get(url, "/one"))[0] == 200
    assert "version 1 is pinned by local: bad deploy" in (await gateway("history")).stdout

    pinned = await gateway("diff")
    assert (pinned.returncode, pinned.stdout.splitlines()[:3]) == (1, versions.stdout.splitlines()[:3])
    assert (await get(url, "/one"))[0] == 200  # nothing was applied

    free = await gateway("unpin")
    assert (free.returncode, free.stderr) == (0, "")
    assert (await get(url, "/two"))[0] == 200
    again = await gateway("unpin")
    assert (again.returncode, again.stderr) == (1, "gateway: no version is pinned\n")
    await running.stops()


async def test_what_cannot_be_compared_or_put_in_force_is_an_error_and_not_a_difference(
    start: Callable[..., Gateway], upstream: Upstream
) -> None:
    none = await gateway("diff")
    assert none.returncode == 3
    assert "no gateway of this user runs" in none.stderr
    running = start(CONFIG.format(url=upstream.url, path="one"))
    await running.ready()

    assert (await gateway("diff", "running", "9")).returncode == 3
    assert (await gateway("diff", "latest")).returncode == 2
    assert (await gateway("diff", "0")).returncode == 2
    assert (await gateway("history", "9")).returncode == 3
    unknown = await gateway("rollback", "9")
    assert (unknown.returncode, unknown.stderr) == (1, "gateway: no version 9 is kept: `gateway history` lists them\n")

    await running.rewrites(CONFIG.format(url=upstream.url, path="two") + "nonsense: 1\n", "rejected")
    rejected = await gateway("diff")
    assert rejected.returncode == 3
    assert "nonsense" in rejected.stderr
    assert "^" in rejected.stderr
    as_json = json.loads((await gateway("diff", "--json")).stdout)
    assert (as_json["result"], as_json["problems"][0]["key"]) == ("rejected", "nonsense")
    await running.stops()


async def test_a_reload_that_was_compared_names_what_it_would_end(
    start: Callable[..., Gateway], upstream: Upstream, second_upstream: Upstream
) -> None:
    running = start(CONFIG.format(url=upstream.url, path="one"))
    url = await running.ready()
    # A pin keeps the file from being applied while it is compared.
    assert (await gateway("rollback", "1")).returncode == 0
    await running.rewrites(CONFIG.format(url=second_upstream.url, path="one"), "not applied")

    found = await gateway("diff")

    assert found.returncode == 1
    assert f"would end: {upstream.url} of users, 0 requests in flight" in found.stdout.splitlines()
    assert (await get_over_both(url, "/one"))[1].startswith("one ")
    await running.stops()


async def test_versions_are_read_over_the_admin_listener_and_changed_only_with_a_token(
    start: Callable[..., Gateway], upstream: Upstream, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = CONFIG.format(url=upstream.url, path="one") + f'admin: {{listen: "127.0.0.1:{unused_tcp_port}"}}\n'
    running = start(text)
    await running.ready()
    admin = ("--admin", f"http://127.0.0.1:{unused_tcp_port}")

    assert (await gateway("diff", "1", *admin)).returncode == 0
    refused = await gateway("rollback", "1", *admin)
    assert refused.returncode == 3
    assert "refused" in refused.stderr
    token = await gateway("admin", "token", "new", "ops", "--role", "editor")
    monkeypatch.setenv("GATEWAY_TOKEN", token.stdout.strip())
    assert (await gateway("rollback", "1", *admin)).returncode == 0
    await running.stops()


async def test_gateways_of_files_of_one_name_have_versions_of_their_own(
    start: Callable[..., Gateway], upstream: Upstream, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "gateway.yaml").write_text(CONFIG.format(url=upstream.url, path=name))
    first = start("", path=Path("gateway.yaml"), directory=tmp_path / "a")
    await first.ready()
    second = start("", path=Path("gateway.yaml"), directory=tmp_path / "b")
    await second.ready()

    for running, path in ((first, "/a"), (second, "/b")):
        listed = await gateway("history", "--json", "--pid", str(running.process.pid))
        assert [each["number"] for each in json.loads(listed.stdout)["versions"]] == [1]
        assert path in (await gateway("history", "1", "--pid", str(running.process.pid))).stdout
        await running.stops()
