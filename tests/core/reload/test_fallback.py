from __future__ import annotations

import pytest
from gateway_core.config import ConfigProblem, Document, DocumentFormat, Place
from gateway_core.config.merge_documents import top_level_keys
from gateway_core.reload.fallback import Trial, is_for_all
from hypothesis import given
from hypothesis import strategies as st


def docs(**texts: str) -> dict[str, Document]:
    return {name: Document(name, f"routes: []  # {text}") for name, text in texts.items()}


def at(*names: str, related: str = "") -> list[ConfigProblem]:
    others = (Place(related, 1, 9),) if related else ()
    return [
        ConfigProblem(Place(name, 1, 1), "routes", "is bad", code="value.invalid", related=others) for name in names
    ]


def texts(trial: Trial | None) -> dict[str, str]:
    assert trial is not None
    return {name: document.text.rpartition(" ")[2] for name, document in trial.documents.items()}


def test_the_last_good_version_stands_in_for_a_bad_document() -> None:
    trial = Trial(docs(a="2", b="2")).without(at("b"), docs(a="1", b="1"))

    assert texts(trial) == {"a": "2", "b": "1"}
    assert trial is not None
    assert trial.kept == {"b"}


def test_a_document_that_was_never_good_is_left_out() -> None:
    assert texts(Trial(docs(a="1", b="1")).without(at("b"), docs(a="1"))) == {"a": "1"}


def test_documents_that_are_gone_come_back_to_where_they_were_if_unchanged_ones_are_bad() -> None:
    trial = Trial(docs(new="1", c="1", d="2")).without(at("c"), docs(a="1", b="1", c="1", d="1", e="1"))

    assert list(texts(trial)) == ["a", "b", "new", "c", "d", "e"]
    assert texts(trial)["d"] == "2"


def test_a_changed_document_that_is_related_to_a_problem_is_the_culprit_if_the_named_one_did_not_change() -> None:
    problems = at("b", related="a")

    assert texts(Trial(docs(a="new", aa="2", b="1")).without(problems, docs(b="1"))) == {"aa": "2", "b": "1"}


def test_there_is_nothing_to_go_back_to_when_nothing_changed() -> None:
    assert Trial(docs(a="1")).without(at("a"), docs(a="1")) is None
    assert Trial(docs(a="1")).without(at("gateway.yaml"), docs(a="1")) is None


def test_a_document_of_routes_and_upstreams_is_left_out_also_at_the_first_start() -> None:
    assert texts(Trial(docs(a="1", b="1")).without(at("a"), {})) == {"b": "1"}
    assert texts(Trial(docs(a="1")).without(at("a"), {})) == {}


@pytest.mark.parametrize(
    "text",
    [
        "plugins: [{name: auth}]",
        "routes: []\nlimits: {}",
        "upstreams: []\nlisten: :8080",
        "plugin_sets: []",
        "sources: []",
        "- routes",
        "",
        "x-note: {}",
    ],
)
def test_a_document_for_all_without_a_last_good_version_refuses_the_change(text: str) -> None:
    wanted = docs(b="2") | {"a": Document("a", text)}

    assert Trial(wanted).without(at("a"), docs(b="1")) is None
    assert Trial(wanted).without(at("a"), {}) is None


def test_a_document_for_all_keeps_its_last_good_version() -> None:
    wanted = {"a": Document("a", "plugins: [")}

    assert texts(Trial(wanted).without(at("a"), docs(a="1"))) == {"a": "1"}


def test_what_counts_for_all_is_told_by_the_keys_in_any_format() -> None:
    assert not is_for_all(Document("a", "routes: []\nupstreams: []\nroute_defaults: {}"))
    assert not is_for_all(Document("a", '{"routes": []}', DocumentFormat.JSON))
    assert not is_for_all(Document("a", "[[routes]]\npath = '/'", DocumentFormat.TOML))
    assert is_for_all(Document("a", '{"routes": [], "plugins": []}', DocumentFormat.JSON))
    assert is_for_all(Document("a", "[[plugins]]\nname = 'auth'", DocumentFormat.TOML))


BROKEN_BUT_OF_ONE_TEAM = {
    "an open list": "routes: [",
    "an open item": "routes:\n  - {id: a, path: /a\nupstreams:\n- name: u\n",
    "a binding of a route": "routes:\n- id: a\n  plugins:\n  - {name: auth\n",
    "a deeper binding": "# a\n---\nroute_defaults:\n  hosts: [a\nroutes:\n  - id: a\n    plugins: [{name: ip}]\n",
    "a brace at the end": "routes: [{id: a, path: '/a}\n]\n",
    "a tab": "upstreams:\n  - name: u\n\tendpoints: []\n",
}


@pytest.mark.parametrize("text", BROKEN_BUT_OF_ONE_TEAM.values(), ids=BROKEN_BUT_OF_ONE_TEAM.keys())
def test_a_broken_document_whose_margin_names_only_routes_and_upstreams_is_one_teams(text: str) -> None:
    assert top_level_keys(Document("a", text)) is None, "it cannot be parsed"
    assert not is_for_all(Document("a", text))
    assert texts(Trial(docs(b="2") | {"a": Document("a", text)}).without(at("a"), docs(b="1"))) == {"b": "2"}


BROKEN_AND_PERHAPS_FOR_ALL = {
    "bindings for all": "routes: []\nplugins: [{name: auth}\n",
    "bindings that slipped in": "routes:\n  - {id: a, path: /}\n plugins:\n  - {name: auth}\n",
    "bindings in quotes": 'routes: [\n]\n"plugins": [{name: auth}\n',
    "bindings in the same line": "routes: [] plugins: [{name: auth}]\n",
    "bindings behind a tab": "routes:\n\tplugins: [{name: auth}]\n",
    "bindings behind another line break": "routes: [\x85plugins: [{name: auth}]\n",
    "a long key": "routes: [\n? plugins\n: [{name: auth}]\n",
    "a mapping in braces": "{routes: [], plugins: [{name: auth}]\n",
    "a mapping in braces behind a line": "--- {plugins: [{name: auth}]\n",
    "a merged mapping": "routes: [\n<<: *all\n",
    "a key that there is not": "nonsense: [\n",
    "no key": "[ no\n",
    "a margin of its own": "  routes: []\n  plugins: [\n",
    "an included file": "routes: []\ninclude: [a.yaml\n",
}


@pytest.mark.parametrize("text", BROKEN_AND_PERHAPS_FOR_ALL.values(), ids=BROKEN_AND_PERHAPS_FOR_ALL.keys())
def test_a_broken_document_that_may_hold_more_than_that_is_for_all(text: str) -> None:
    assert top_level_keys(Document("a", text)) is None, "it cannot be parsed"
    assert is_for_all(Document("a", text))
    assert Trial(docs(b="2") | {"a": Document("a", text)}).without(at("a"), docs(b="1")) is None


@pytest.mark.parametrize("syntax", [DocumentFormat.JSON, DocumentFormat.TOML])
def test_a_broken_document_without_a_margin_is_for_all(syntax: DocumentFormat) -> None:
    assert is_for_all(Document("a", "routes: [", syntax))


document_keys = st.sampled_from(["plugins", "listen", "limits", "plugin_sets", "admin", "include", "trusted_proxies"])
parts = st.lists(st.sampled_from(["routes:\n", "- {id: a}\n", "  - id: b\n", "    path: /\n", "# no\n", "\n", "] [\n"]))


@given(before=parts, key=document_keys, after=parts)
def test_no_document_with_a_key_for_all_at_its_margin_is_one_teams(
    before: list[str], key: str, after: list[str]
) -> None:
    assert is_for_all(Document("a", "routes: []\n" + "".join(before) + f"{key}: [\n" + "".join(after)))


names = st.sampled_from("abcd")
some = st.dictionaries(names, st.sampled_from("12")).map(lambda found: docs(**found))


@given(wanted=some, good=some, bad=st.lists(st.sets(names), max_size=20))
def test_trials_come_to_an_end_and_hold_only_wanted_or_good_documents(
    wanted: dict[str, Document], good: dict[str, Document], bad: list[set[str]]
) -> None:
    trial, rounds = Trial(wanted), 0

    for each in [*bad, *[set("abcd")] * 20]:
        following = trial.without(at(*each), good)
        if following is None:
            break
        trial, rounds = following, rounds + 1

    assert rounds <= 5
    for name, document in trial.documents.items():
        assert document == (good[name] if name in trial.kept else wanted[name])
    order = [name for name in trial.documents if name in wanted]
    assert order == [name for name in wanted if name in trial.documents]
