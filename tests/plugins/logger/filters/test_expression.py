from __future__ import annotations

import contextlib
from typing import Any

import pytest
from gateway_plugin_logger.fields import FIELDS
from gateway_plugin_logger.filters.expression import ExpressionError, compile_predicate
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("status == 200", True),
        ("status >= 500", False),
        ("200 <= status < 300", True),
        ("not status < 300", False),
        ("status in [200, 404]", True),
        ("status not in (200, 404)", False),
        ("duration_ms > 12 and duration_ms < 13", True),
        ("upstream_duration_ms == 10.0", True),
        ("time_unix > -1", True),
        ("method == 'GET' and path != '/x' or status == 500", True),
        ("error", False),
        ("identity", True),
        ("not error", True),
        ("error == null", True),
        ("error != null", False),
        ("true", True),
        ("false or null", False),
        ("retries > 0", False),
        ("retries <= 0", False),
        ("not retries > 0", True),
        ("'users' in path", True),
        ("'x' not in path", True),
        ("'e' in error", False),
        ("matches(path, '^/api/[a-z]+/7$')", True),
        ("matches(error, '.')", False),
        ("starts_with(path, '/x', '/api/')", True),
        ("ends_with(path, '7')", True),
        ("lower(host) == 'api.example.com:8080'", True),
        ("lower(error) == 'x'", False),
        ("in_network(client_ip, '10.0.0.0/8', '203.0.113.0/24')", True),
        ("in_network(identity, '10.0.0.0/8')", False),
        ("query('page') == '2'", True),
        ("query('none') == null", True),
        ("param('id') == '7'", True),
        ("header('user-agent') == 'curl/8.1'", True),
        ("claim('org.level') > 3", True),
        ("claim('org.name') > 3", False),
        ("claim('none') > 3", False),
        ("3 < claim('org.level')", True),
        ("'admin' in claim('roles')", True),
        ("'other' in claim('roles')", False),
        ("'x' in claim('none')", False),
        ("'a' in claim('org.level')", False),
        ("claim('roles')", True),
        ("claim('none')", False),
        ("starts_with(claim('org.level'), 'x')", False),
        ("  status == 200  ", True),
    ],
)
def test_expressions_mean_what_they_say(text: str, holds: bool, make_event: Any) -> None:
    event = make_event(claims={"org": {"level": 5, "name": "acme"}, "roles": ["admin"]})

    assert compile_predicate(text, undecided=True)(*event) is holds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("statsu == 1", "'statsu' is no field; did you mean 'status'? (character 1)"),
        ("status == 1 and statsu == 1", "'statsu' is no field; did you mean 'status'? (character 17)"),
        ("status", "status is a number: compare it, as in status > 0 (character 1)"),
        ("status == '200'", "\"status == '200'\" compares a number with text"),
        ("path > 'a'", "\"path > 'a'\" orders text and text: numbers only"),
        ("status ==", "'status ==' is no expression: invalid syntax"),
        ("", "'' is no expression"),
        ("path.upper()", "'path.upper()' is not understood"),
        ("path[0]", "'path[0]' is not understood"),
        ("status + 1 == 2", "'status + 1' is not understood"),
        ("(lambda: 1)()", "'(lambda: 1)()' is not understood"),
        ("__import__('os')", "'__import__' is no function"),
        ("eval('1')", "'eval' is no function"),
        ("request", "'request' is no field"),
        ("matches(path)", "matches: "),
        ("matches(path, '(')", "matches: '(' is not a regular expression"),
        ("matches(path, path)", '"matches(path, path)" takes quoted texts'),
        ("matches(status, '2')", "matches takes text, and status is a number"),
        ("matches()", "matches takes a field first"),
        ("starts_with(path)", "starts_with: one text or more is needed"),
        ("in_network(client_ip, '10.0.0.0/99')", "in_network: '10.0.0.0/99' does not appear"),
        ("header()", "header takes one name"),
        ("header('a b') == 'x'", "'a b' is not a header name"),
        ("path in 'x' in status", "'path in"),
        ("status in 5", "'status in 5': after 'in' comes a list"),
        ("path in [host]", "'host' in a list is not a constant"),
        ("path is null", "'path is null' is not understood: compare with"),
        ("b'x' == path", "\"b'x'\" is not understood"),
        ("f'{path}' == 'x'", "is not understood"),
        ("matches(path, '^/', flags=1)", "is not understood"),
        ("[1] == status", "compares a list with a number"),
        ("x" * 5000, "the expression has 5000 characters"),
        ("(" * 300 + "1" + ")" * 300, "is no expression"),
    ],
)
def test_what_cannot_be_understood_is_refused_with_the_reason(text: str, message: str) -> None:
    with pytest.raises(ExpressionError) as refused:
        compile_predicate(text, undecided=True)

    assert message.replace('"', "'") in str(refused.value).replace('"', "'")


@given(st.text(max_size=40))
def test_no_text_does_anything_but_compile_or_be_refused(text: str) -> None:
    with contextlib.suppress(ExpressionError):
        compile_predicate(text, undecided=True)


_operands = st.sampled_from(
    [*FIELDS, "1", "'a'", "null", "true", "claim('a')", "header('b')", "['a', 1]", "lower(path)"]
)
_comparisons = st.builds(
    "{} {} {}".format, _operands, st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "in", "not in"]), _operands
)
_expressions = st.recursive(
    _comparisons | _operands,
    lambda inner: (
        st.builds("({}) {} ({})".format, inner, st.sampled_from(["and", "or"]), inner)
        | st.builds("not ({})".format, inner)
    ),
    max_leaves=6,
)


@given(_expressions)
def test_what_compiles_never_fails_whatever_is_missing(text: str) -> None:
    from gateway_plugin_sdk import Record, Request, Response

    try:
        test = compile_predicate(text, undecided=True)
    except ExpressionError:
        return

    assert isinstance(test(Request("GET", "/"), Response(200), Record()), bool)


@pytest.mark.parametrize("undecided", [True, False])
@pytest.mark.parametrize("text", ["matches(path, 'a.*b')", "not matches(path, 'a.*b')"])
def test_a_text_too_long_for_a_pattern_is_decided_beforehand(
    text: str, undecided: bool, make_event: Any, without_re2: None
) -> None:
    test = compile_predicate(text, undecided=undecided)

    assert test(*make_event("/" + "a" * 9_000)) is undecided
    assert test(*make_event("/ab")) is (not text.startswith("not"))
