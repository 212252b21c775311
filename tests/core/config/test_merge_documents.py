from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from gateway_core.config import ConfigError, Document, DocumentFormat, Place, PluginCatalog, load_config
from gateway_core.config.merge_documents import Gatherer, looks_like_configuration, pattern_directories
from gateway_core.config.substitution import Substitution

from tests.core.config.conftest import Load

ROUTE = "{{id: {0}, path: /{0}, target: 'http://127.0.0.1:8081'}}"


def write(directory: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)


def routes(*ids: str) -> str:
    return "routes:\n" + "".join(f"  - {ROUTE.format(name)}\n" for name in ids)


def test_lists_of_a_directory_concatenate_in_the_order_of_file_names(tmp_path: Path, load: Load) -> None:
    write(tmp_path, {"20.yaml": routes("c"), "10.yaml": routes("a", "b"), "15.toml": "workers = 3\n"})

    loaded = load(tmp_path)

    assert [route.id for route in loaded.config.routes] == ["a", "b", "c"]
    assert loaded.config.workers == 3
    assert loaded.places["routes[2]"] == Place(str(tmp_path / "20.yaml"), 2, 5)
    assert [file.name for file in loaded.files] == ["10.yaml", "15.toml", "20.yaml"]
    assert loaded.directories == (tmp_path,)


def test_only_the_directory_that_is_named_must_hold_documents(tmp_path: Path, load: Load) -> None:
    write(tmp_path, {"teams/a/routes.yaml": routes("a"), "certificates/readme.txt": "none here"})

    assert [route.id for route in load(tmp_path).config.routes] == ["a"]
    with pytest.raises(ConfigError, match="holds no configuration"):
        load(tmp_path / "certificates")


def test_includes_are_relative_to_the_including_file(tmp_path: Path, load: Load) -> None:
    files = {
        "gateway.yaml": "include: [conf.d/*.yaml]\n" + routes("a"),
        "conf.d/1.yaml": "include: more/x.yaml\n" + routes("b"),
        "conf.d/2.yaml": routes("d"),
        "conf.d/more/x.yaml": routes("c"),
    }
    write(tmp_path, files)

    loaded = load(tmp_path / "gateway.yaml")

    assert [route.id for route in loaded.config.routes] == ["a", "b", "c", "d"]
    assert loaded.config.include == ("conf.d/*.yaml", "more/x.yaml")
    assert set(loaded.files) == {tmp_path / name for name in files}
    assert loaded.directories == (tmp_path / "conf.d",)


def test_pattern_that_matches_nothing_is_no_problem(tmp_path: Path, load: Load) -> None:
    write(tmp_path, {"gateway.yaml": "include: ['conf.d/*.yaml', '*.yaml']\n" + routes("a")})

    assert len(load(tmp_path / "gateway.yaml").config.routes) == 1


def test_file_that_two_includes_name_is_read_once(tmp_path: Path, load: Load) -> None:
    write(tmp_path, {"g.yaml": "include: [a.yaml, './a.yaml', '[a]*.yaml']\n", "a.yaml": routes("a")})

    assert len(load(tmp_path / "g.yaml").config.routes) == 1


def test_include_patterns_may_come_from_the_environment(tmp_path: Path, load: Load) -> None:
    write(tmp_path, {"g.yaml": "include: ['${STAGE}.yaml']\n", "test.yaml": routes("a")})

    assert len(load(tmp_path / "g.yaml", environ={"STAGE": "test"}).config.routes) == 1


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"g.yaml": "include: a.yaml", "a.yaml": "include: g.yaml"}, "includes itself"),
        ({"g.yaml": "include: g.yaml"}, "includes itself"),
        ({"g.yaml": "include: missing.yaml"}, "does not exist"),
        ({"g.yaml": f"include: {'n' * 300}.yaml"}, "does not exist"),
        ({"g.yaml": 'include: "a\\0b"'}, "holds the character NUL, which no path can"),
        ({"g.yaml": 'include: "a\\0*"'}, "holds the character NUL, which no path can"),
        ({"g.yaml": "include: [{}]"}, "is a mapping, where a file name or pattern is expected"),
        ({"g.yaml": "include: ''"}, "is text, where a file name"),
    ],
)
def test_includes_that_cannot_be_followed_are_problems(
    tmp_path: Path, load: Load, files: dict[str, str], message: str
) -> None:
    write(tmp_path, files)

    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "g.yaml")

    assert message in caught.value.problems[0].text


def test_document_that_is_no_file_includes_nothing(load: Load) -> None:
    with pytest.raises(ConfigError, match="only a document that is a file can include others"):
        load(routes("a"), extra_documents=[Document("etcd://h/a", "include: a.yaml")])


def test_error_names_the_files_to_watch(tmp_path: Path, load: Load) -> None:
    write(tmp_path, {"g.yaml": "include: [missing.yaml, 'more/*.yaml']\nworkers: ${file:count}\n"})

    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "g.yaml")

    assert set(caught.value.files) == {tmp_path / "g.yaml", tmp_path / "missing.yaml", tmp_path / "count"}
    assert caught.value.directories == (tmp_path / "more",)


def test_documents_of_other_sources_join_files(tmp_path: Path, load: Load) -> None:
    write(tmp_path, {"g.yaml": routes("a")})
    document = Document("etcd:/gateway/routes", routes("b") + "  - {id: c}\n")

    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "g.yaml", extra_documents=[document])

    assert {problem.place.file for problem in caught.value.problems} == {"etcd:/gateway/routes"}
    assert [problem.key_path for problem in caught.value.problems] == ["routes[2]"]


def merged(*texts: str) -> tuple[Any, list[str]]:
    gatherer = Gatherer(Substitution({}))
    for number, text in enumerate(texts):
        gatherer.add_document(Document(f"{number}.yaml", text))
    root = gatherer.merged().root
    return [str(key.value) for key, _ in root.value], [str(problem) for problem in gatherer.problems]


def test_equal_values_may_be_given_twice() -> None:
    assert merged("workers: 2\nlog: {level: info}", "log: {level: info}\nworkers: 2") == (["workers", "log"], [])


def test_different_values_are_a_problem_that_names_both_places() -> None:
    _, problems = merged("workers: 2", "server_timing: true\nworkers: 3")

    assert problems == ["1.yaml:2:10: workers: is given again with another value than at 0.yaml:1:10: keep one of them"]


def test_listeners_concatenate_however_they_are_written(load: Load) -> None:
    documents = [
        Document("a", "listen: ':1'"),
        Document("b", "listen: [':2']"),
        Document("c", "listen: {address: ':3'}"),
    ]

    loaded = load([], extra_documents=documents)

    assert [listener.address for listener in loaded.config.listen] == [":1", ":2", ":3"]
    assert loaded.places["listen[2]"] == Place("c", 1, 9)


def test_problems_of_other_documents_are_still_found_beside_a_syntax_error(load: Load) -> None:
    documents = [Document("a", "routes: ["), Document("b", "routes: [{id: x, path: /x, target: gone, prio: 1}]")]

    with pytest.raises(ConfigError) as caught:
        load([], extra_documents=documents)

    # What "gone" is may be written in the document that cannot be read.
    assert [problem.place.file for problem in caught.value.problems] == ["a", "b"]
    assert 'unknown key "prio"' in caught.value.problems[1].text


SECRETS = {
    "key": "-----BEGIN PRIVATE KEY-----\nMIIhunter2\n-----END PRIVATE KEY-----\n",
    "token": "hunter2\n",
    "shadow": "root:$6$hunter2:19000:0:99999:7:::\n",
    "mapping": "api: hunter2\nother: [hunter2\n",
    "quotes": 'machine: "hunter2\n',
    "json": '{"token": "hunter2", "x": }',
    "env": "TOKEN=hunter2\n",
    "tabs": "a:\n\thunter2: 1\n",
}


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("ending", ["", ".yaml", ".json", ".toml"])
@pytest.mark.parametrize("is_included", [False, True])
def test_a_file_that_is_no_configuration_is_not_quoted(
    tmp_path: Path, catalog: PluginCatalog, name: str, ending: str, is_included: bool
) -> None:
    secret = tmp_path / f"{name}{ending}"
    secret.write_text(SECRETS[name])
    config = tmp_path / "gateway.yaml"
    config.write_text(f"include: [{secret}]\nroutes: [{{path: /, target: 'http://127.0.0.1:1'}}]\n")

    with pytest.raises(ConfigError) as caught:
        load_config(config if is_included else secret, environ={}, catalog=catalog)

    text = caught.value.render()
    assert str(secret) in text
    assert "hunter2" not in text


@pytest.mark.parametrize(
    "text",
    [
        "routes: [",
        "{routes: [}",
        '{"routes": }',
        "[[routes]]\nx",
        "limits.max_requests = x",
        "\n\n  listen : 'a",
        "include: [",
    ],
)
def test_a_broken_configuration_is_quoted(text: str) -> None:
    assert looks_like_configuration(text)


def test_an_included_link_that_leads_to_itself_is_a_problem(tmp_path: Path, load: Load) -> None:
    (tmp_path / "loop.yaml").symlink_to(tmp_path / "loop.yaml")
    (tmp_path / "gateway.yaml").write_text("include: loop.yaml\n" + routes("a"))

    with pytest.raises(ConfigError, match="does not exist"):
        load(tmp_path / "gateway.yaml")


def test_the_yaml_documents_of_one_file_are_merged_like_files(tmp_path: Path, load: Load) -> None:
    text = f"---\nworkers: 2\nx-a: &t 'http://127.0.0.1:1'\n{routes('a')}---\n# nothing\n---\n{routes('b')}...\n"
    write(tmp_path, {"gateway.yaml": text})

    loaded = load(tmp_path / "gateway.yaml")

    assert [route.id for route in loaded.config.routes] == ["a", "b"]
    assert loaded.config.workers == 2
    assert loaded.places["routes[1]"].line == 10


def test_a_key_of_two_yaml_documents_with_other_values_is_a_conflict(load: Load) -> None:
    with pytest.raises(ConfigError, match=r"another value than at gateway\.yaml:1:10"):
        load("workers: 1\n---\nworkers: 2\n")


def test_keys_that_begin_with_x_are_ignored_wherever_keys_are_fixed(load: Load) -> None:
    text = """
x-target: &target "http://127.0.0.1:8081"
x-notes: [1, 2]
listen: {address: ":8080", x-why: public}
upstreams:
  - {name: u, x-team: a, endpoints: [{url: *target, x-rack: 1}], retries: {attempts: 1, x-note: ~}, x-empty: }
routes:
  - {id: a, path: /, target: u, headers: {x-version: "1"}, timeouts: {x-anything: {a: b}, total: 5s}, x-owner: me}
"""
    loaded = load(text)

    (route,) = loaded.config.routes
    assert list(route.headers) == ["x-version"]
    assert loaded.config.upstreams[0].endpoints[0].url == "http://127.0.0.1:8081"


def test_x_keys_of_several_documents_do_not_conflict(load: Load) -> None:
    loaded = load("x-a: 1\n" + routes("a"), extra_documents=[Document("b", "x-a: 2\n" + routes("b"))])

    assert len(loaded.config.routes) == 2


@pytest.mark.parametrize(
    "text", ["{'routes': []}", '{"routes": [],}', '{"routes": [] // none\n}', "routes: []", '{"workers": NaN}']
)
def test_json_is_read_as_json(tmp_path: Path, load: Load, text: str) -> None:
    write(tmp_path, {"gateway.json": text})

    with pytest.raises(ConfigError, match=r"gateway\.json.*is not valid JSON"):
        load(tmp_path / "gateway.json")


def test_documents_of_sources_may_begin_with_a_byte_order_mark(load: Load) -> None:
    documents = [
        Document("a", "\ufeff[[routes]]\npath = '/a'\ntarget = 'http://127.0.0.1:1'", DocumentFormat.TOML),
        Document("b", '\ufeff{"routes": [{"path": "/b", "target": "http://127.0.0.1:1"}]}', DocumentFormat.JSON),
        Document("c", "\ufeff" + routes("c")),
    ]

    assert len(load(routes("d"), extra_documents=documents).config.routes) == 4


@pytest.mark.parametrize(
    ("pattern", "watched"),
    [
        ("*.yaml", {"."}),
        ("teams/*.yaml", {"teams"}),
        ("teams/*/*.yaml", {"teams", "teams/a", "teams/b"}),
        ("teams/*/routes/*.yaml", {"teams", "teams/a/routes", "teams/b/routes"}),
        ("**/*.yaml", {".", "teams", "teams/a", "teams/a/deep", "teams/b"}),
        ("teams/**", {"teams", "teams/a", "teams/a/deep", "teams/b"}),
        ("later/*.yaml", {"later"}),
    ],
)
def test_the_directories_of_a_pattern_are_watched_on_all_levels(
    tmp_path: Path, pattern: str, watched: set[str]
) -> None:
    write(tmp_path, {"teams/a/deep/x.yaml": "", "teams/b/x.yaml": "", ".git/x": ""})

    found = {str(path.relative_to(tmp_path)) for path in pattern_directories(tmp_path, pattern)}

    assert found >= watched
    assert not any(name.startswith(".git") for name in found)


@pytest.mark.parametrize("half", ["", "routes:\n  - {path: /, tar", b"routes: \xc3"])
def test_a_file_that_is_being_written_is_waited_for(tmp_path: Path, catalog: PluginCatalog, half: str | bytes) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_bytes(half if isinstance(half, bytes) else half.encode())
    writer = threading.Timer(0.15, lambda: file.write_text(routes("a")))
    writer.start()

    loaded = load_config(file, environ={}, catalog=catalog, patience=20)

    assert [route.id for route in loaded.config.routes] == ["a"]
    writer.join()


def test_a_file_that_stays_incomplete_is_a_problem(tmp_path: Path, catalog: PluginCatalog) -> None:
    (tmp_path / "gateway.yaml").write_text("routes: [")

    with pytest.raises(ConfigError, match="where a value is expected"):
        load_config(tmp_path / "gateway.yaml", environ={}, catalog=catalog, patience=0.06)
