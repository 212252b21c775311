"""Documents in every form that operators and their tools write them, edited under a running gateway."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.end_to_end.kit import Gateway, ToClients, Upstream, eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

Start = Callable[..., Gateway]
Edit = Callable[[], object]


@pytest.fixture(params=[1, 2])
def head(request: pytest.FixtureRequest) -> str:
    return f"listen: 127.0.0.1:0\nworkers: {request.param}\n"


@pytest.fixture
def start_there(tmp_path: Path, to_clients: ToClients) -> Iterator[Callable[..., Gateway]]:
    started: list[Gateway] = []

    def begin(path: Path, **environ: str) -> Gateway:
        environ = {"XDG_STATE_HOME": str(tmp_path / "state"), **environ}
        started.append(Gateway(path, environ=environ, to_clients=to_clients))
        return started[-1]

    yield begin
    for gateway in started:
        gateway.kill()


class Routes:
    """Writes routes by their name, which is their path as well."""

    def __init__(self, upstream: Upstream) -> None:
        self._url = upstream.url

    def __call__(self, *names: str) -> str:
        return "routes:\n" + "".join(f"- {{id: {name}, path: /{name}, target: '{self._url}'}}\n" for name in names)


async def follow(gateway: Gateway, steps: list[tuple[Edit, str, int | str]]) -> None:
    """Make each edit, and wait until a path has the status that follows from it, or the log says what is wrong."""
    url = await gateway.ready()
    for edit, path, status in steps:
        after = len(gateway.lines)
        done = edit()
        if isinstance(done, Awaitable):
            await done
        if isinstance(status, str):
            await gateway.says(status, after=after)
        else:
            await eventually(url, path, str(status))
    await gateway.stops()


async def test_several_documents_in_a_file(start_there: Start, upstream: Upstream, head: str, tmp_path: Path) -> None:
    routes, file = Routes(upstream), tmp_path / "gateway.yaml"
    file.write_text(f"{head}{routes('a')}---\n{routes('b')}")
    of_windows = b"\xef\xbb\xbf" + f"{head}---\n{routes('h')}".replace("\n", "\r\n").encode()
    shared = f"x-url: &url '{upstream.url}'\n"
    steps: list[tuple[Edit, str, int | str]] = [
        (lambda: None, "/b", 200),
        (lambda: file.write_text(f"{head}---\n---\n{routes('c')}---\n{routes('d')}...\n"), "/d", 200),
        (lambda: file.write_text(f"# text\n---\n{head}---\n# nothing\n---\n{routes('e')}"), "/e", 200),
        (lambda: file.write_text(f"{head}---\nroutes: [\n"), "/e", "inside an open bracket"),
        (lambda: file.write_text(f"{head}---\nworkers: 7\n{routes('f')}"), "/e", "workers"),
        (lambda: file.write_text(f"%YAML 1.2\n---\n{head}---\n{routes('g')}"), "/g", 200),
        (lambda: file.write_bytes(of_windows), "/h", 200),
        (lambda: file.write_text(f"{head}{shared}routes: [{{id: i, path: /i, target: *url, x-note: y}}]\n"), "/i", 200),
        (lambda: file.write_text(f"{head}{shared}---\nroutes: [{{id: j, path: /j, target: *url}}]\n"), "/i", "url"),
    ]
    await follow(start_there(file), steps)


async def test_directories_below_a_directory(start_there: Start, upstream: Upstream, head: str, tmp_path: Path) -> None:
    routes, root, other = Routes(upstream), tmp_path / "conf", tmp_path / "elsewhere"
    deep = root / "shop" / "deep"
    deep.mkdir(parents=True)
    other.mkdir()
    (root / "base.yaml").write_text(head)
    (deep / "a.yaml").write_text(routes("a"))

    def write(file: Path, text: str) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def move_in() -> None:
        write(tmp_path / "made" / "d.yaml", routes("d"))
        (tmp_path / "made").rename(root / "made")

    def link() -> None:
        (other / "e.yaml").write_text(routes("e"))
        (root / "linked").symlink_to(other)

    steps: list[tuple[Edit, str, int | str]] = [
        (lambda: None, "/a", 200),
        (lambda: write(deep / "b.yml", routes("b")), "/b", 200),
        (lambda: write(root / "new" / "newer" / "C.YAML", routes("c")), "/c", 200),
        (move_in, "/d", 200),
        (link, "/e", 200),
        (lambda: write(other / "e.yaml", routes("e2")), "/e2", 200),
        (lambda: write(other / "f.yaml", routes("f")), "/f", 200),
        (lambda: (root / "loop").symlink_to(root), "/f", 200),
        (lambda: write(root / ".git" / "x.yaml", "nonsense: ["), "/f", 200),
        (lambda: write(root / "g.toml", f'[[routes]]\nid="g"\npath="/g"\ntarget="{upstream.url}"\n'), "/g", 200),
        (lambda: shutil.rmtree(root / "new"), "/c", 404),
    ]
    await follow(start_there(root), steps)


async def test_patterns_of_includes(start_there: Start, upstream: Upstream, head: str, tmp_path: Path) -> None:
    routes, file = Routes(upstream), tmp_path / "gateway.yaml"
    file.write_text(f"{head}include: ['teams/*/*.yaml', 'deep/**/*.yaml', 'one/[ab].yaml', 'opt?.yaml']\n")

    def write(name: str, text: str) -> None:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    def rename_in() -> None:
        write("partial", routes("h"))
        (tmp_path / "partial").rename(tmp_path / "teams" / "x" / "h.yaml")

    def include_more() -> None:
        write("teams/x/more/i.yaml", routes("i"))
        write("teams/x/more.yaml", "include: more/*.yaml\n")

    steps: list[tuple[Edit, str, int | str]] = [
        (lambda: write("teams/x/a.yaml", routes("a")), "/a", 200),
        (lambda: write("teams/y/b.yaml", routes("b")), "/b", 200),
        (lambda: write("deep/1/2/3/c.yaml", routes("c")), "/c", 200),
        (lambda: write("deep/d.yaml", routes("d")), "/d", 200),
        (lambda: write("deep/1/9/e.yaml", routes("e")), "/e", 200),
        (lambda: write("one/b.yaml", routes("f")), "/f", 200),
        (lambda: write("opt1.yaml", routes("g")), "/g", 200),
        ((tmp_path / "teams" / "x" / "a.yaml").unlink, "/a", 404),
        (rename_in, "/h", 200),
        (include_more, "/i", 200),
        (lambda: write("teams/x/more/j.yaml", routes("j")), "/j", 200),
        (lambda: write("teams/x/more/j.yaml", routes("k")), "/k", 200),
    ]
    await follow(start_there(file), steps)


async def test_documents_in_the_middle_of_being_written(
    start_there: Start, upstream: Upstream, head: str, tmp_path: Path
) -> None:
    file = tmp_path / "gateway.yaml"

    def of(*names: str) -> str:
        """Return a document of which no part is valid: a valid part would be put in force."""
        routes = [{"id": name, "path": f"/{name}", "target": upstream.url} for name in names]
        return json.dumps({**yaml.safe_load(head), "routes": routes})

    file.write_text(of("a"))
    gateway = start_there(file)

    def slowly(name: str, size: int, pause: float) -> Edit:
        async def write() -> None:
            text = of("first", name)
            with file.open("w") as writing:
                for start in range(0, len(text), size):
                    writing.write(text[start : start + size])
                    writing.flush()
                    await asyncio.sleep(pause)  # as a slow writer

        return write

    def after(partial: bytes | None, name: str) -> Edit:
        async def write() -> None:
            if partial is None:
                file.unlink()
            else:
                file.write_bytes(partial)
            await asyncio.sleep(0.2)  # as a slow writer
            file.write_text(of(name))

        return write

    steps: list[tuple[Edit, str, int | str]] = [
        (slowly("b", 10, 0.02), "/b", 200),
        (slowly("c", 40, 0.1), "/c", 200),
        (slowly("d", 1, 0.001), "/d", 200),
        (after(b"", "e"), "/e", 200),
        (after(None, "f"), "/f", 200),
        (after(b"\0" * 300, "g"), "/g", 200),
        (after(of("h")[:50].encode(), "h"), "/h", 200),
    ]
    await follow(gateway, steps)
    assert "rejected" not in gateway.text


async def test_values_from_the_environment_and_from_files(
    start_there: Start, upstream: Upstream, head: str, tmp_path: Path
) -> None:
    file, named = tmp_path / "gateway.yaml", tmp_path / "named"
    gateway = start_there(file, SET="b", EMPTY="", NUMBER="64")

    def have(path: str, more: str = "") -> Edit:
        route = f"- {{id: it, {path}, target: '{upstream.url}'}}"
        return lambda: file.write_text(f"{head}{more}routes:\n{route}\n")

    file.write_text(f"{head}routes: []\n")
    steps: list[tuple[Edit, str, int | str]] = [
        (have("path: '${NOT:-/${NOR:-${SET}}}'"), "/b", 200),
        (have("path_regex: '${NOT:-/c[a-z]{2}}'"), "/cxy", 200),
        (have("path: '${NOT:?say which}'"), "/cxy", "say which"),
        (have("path: '${EMPTY:?say which}'"), "/cxy", "say which"),
        (have("path: '/${SET:?say which}'"), "/b", 200),
        (have("path: '/${SET'"), "/b", "never closed|not closed|unfinished|no closing|is not one of"),
        (have("path: /e", "limits:\n  max_headers: ${NUMBER}\n"), "/e", 200),
        (have("path: /f", "limits:\n  max_headers: '${NUMBER}'\n"), "/e", "without quotes"),
        (have("path: /g, headers: {x-none: '$${SET}'}"), "/e", 404),
        (lambda: (named.write_text("/i\n"), have("path: '${file:named}'")()), "/i", 200),
        (lambda: named.write_text("/j\n"), "/j", 200),
        (named.unlink, "/j", "does not exist"),
        (lambda: named.write_text("/k\n"), "/k", 200),
    ]
    await follow(gateway, steps)
    assert "Traceback" not in gateway.text
