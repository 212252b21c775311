"""This version beside the one before it, as in a fleet that is upgraded gateway by gateway: one etcd, one Valkey, and
state directories that change hands in both directions.

The previous version is built from the history of this repository until it can be had from an index.
"""

from __future__ import annotations

import io
import signal
import subprocess
import sys
import tarfile
import venv
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.contract.repository import ROOT
from tests.end_to_end.kit import Gateway, Upstream, eventually, get
from tests.plugins.etcd.server import Etcd
from tests.plugins.ratelimit.stores.conftest import Valkey

PREVIOUS: Final = "cc312815d10fe355d9ee9c3b0e691d6ac3e72461"
"""0.1.0."""
PARTS: Final = ("core", "plugin-sdk", "plugins/etcd", "plugins/ratelimit")
QUOTA: Final = 20

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

Start = Callable[..., Gateway]


def run(*command: str | Path) -> None:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("previous") / "sources"
    command = ["git", "-C", str(ROOT), "archive", PREVIOUS, *PARTS]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"this checkout has no history, of which 0.1.0 is built (git fetch --unshallow): {PREVIOUS}")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture(scope="module")
def previous(sources: Path) -> Path:
    """Return the Python of an environment that has the previous version."""
    environment = sources.with_name("environment")
    venv.create(environment, with_pip=True)
    python = environment / "bin" / "python"
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    pip += ["-c", str(ROOT / "constraints.txt")]
    run(*pip, "hatchling", "dnspython")  # the latter is what this version needs beside
    folders = [f"{sources / part}[redis]" if part.endswith("ratelimit") else str(sources / part) for part in PARTS]
    run(*pip, "--no-build-isolation", *folders)
    return python


@pytest.fixture
async def etcd(tmp_path: Path) -> AsyncIterator[Etcd]:
    async with Etcd(tmp_path / "etcd") as running:
        yield running


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Valkey]:
    folder = tmp_path / "valkey"
    folder.mkdir()
    server = Valkey(folder)
    yield server
    server.kill()


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream("one") as running:
        yield running


@pytest.fixture
def start(tmp_path: Path, etcd: Etcd) -> Iterator[Start]:
    """Start a gateway of either version on what is below ``/fleet`` in etcd."""
    started: list[Gateway] = []
    local = tmp_path / "local.yaml"
    local.write_text("listen: 127.0.0.1:0\n")

    def begin(*, state: str, python: str | Path = sys.executable) -> Gateway:
        more = ("-c", f"etcd://{etcd.host}/fleet", "--state", str(tmp_path / state))
        started.append(Gateway(local, *more, python=python))
        return started[-1]

    yield begin
    for gateway in started:
        gateway.kill()


def route(name: str, upstream: Upstream, more: str = "") -> str:
    return f"routes:\n  - id: {name}\n    path: /{name}\n    target: {upstream.url}\n{more}"


async def test_both_take_one_document_and_share_one_quota(
    start: Start, etcd: Etcd, valkey: Valkey, upstream: Upstream, previous: Path
) -> None:
    limit = f"{{quota: {QUOTA}, window: 1d, key: constant, store: redis, redis: {{url: '{valkey.url}', timeout: 10s}}}}"
    limited = route("a", upstream, f"    plugins: [{{name: ratelimit, config: {limit}}}]\n")
    await etcd.put("/fleet/a.yaml", limited)
    old, new = start(python=previous, state="old"), start(state="new")
    urls = [await old.ready(), await new.ready()]

    statuses = [(await get(urls[number % 2], "/a"))[0] for number in range(2 * QUOTA)]

    assert statuses == [200] * QUOTA + [429] * QUOTA
    await etcd.put("/fleet/b.yaml", route("b", upstream))
    for url in urls:
        await eventually(url, "/b", "200")
    await etcd.delete("/fleet/b.yaml")
    for url in urls:
        await eventually(url, "/b", "404")


async def test_a_document_with_what_only_the_newer_has_leaves_the_older_as_it_was(
    start: Start, etcd: Etcd, upstream: Upstream, previous: Path
) -> None:
    await etcd.put("/fleet/a.yaml", route("a", upstream))
    old, new = start(python=previous, state="old"), start(state="new")
    urls = [await old.ready(), await new.ready()]

    await etcd.put("/fleet/a.yaml", "routes: [{id: a, path: [/a, /more], respond: {status: 204}}]\n")

    await eventually(urls[1], "/more", "204")
    await old.says(r"stay in force: etcd://.*/fleet/a\.yaml")
    assert (await get(urls[0], "/a"))[0] == 200


@pytest.mark.parametrize("is_upgrade", [True, False], ids=["upgrade", "downgrade"])
async def test_what_one_kept_is_started_by_the_other_while_etcd_is_away(
    start: Start, etcd: Etcd, upstream: Upstream, previous: Path, is_upgrade: bool
) -> None:
    await etcd.put("/fleet/a.yaml", route("a", upstream))
    older, newer = {"python": previous}, {"python": sys.executable}
    before = start(state="shared", **(older if is_upgrade else newer))
    await eventually(await before.ready(), "/a", "200")
    await before.stops()
    await etcd.kill()

    after = start(state="shared", **(newer if is_upgrade else older))

    assert (await get(await after.ready(), "/a"))[0] == 200


async def test_a_program_that_cannot_take_over_is_not_started(
    start: Start, etcd: Etcd, upstream: Upstream, previous: Path, tmp_path: Path
) -> None:
    """0.1 hands nothing over that this version understands: the old program goes on."""
    venv.create(tmp_path / "environment", symlinks=True)
    (site,) = (tmp_path / "environment").glob("lib/python*/site-packages")
    (parent,) = previous.parents[1].glob("lib/python*/site-packages")
    (site / "previous.pth").write_text(f"{parent}\n")
    await etcd.put("/fleet/a.yaml", route("a", upstream))
    old = start(python=tmp_path / "environment" / "bin" / "python", state="old")
    url = await old.ready()

    for part in PARTS:
        (package,) = (ROOT / part / "src").glob("gateway_*")
        (site / package.name).symlink_to(package)
    old.signal(signal.SIGUSR2)

    await old.says("not restarted")
    assert (await get(url, "/a"))[0] == 200
    await old.stops()
