from __future__ import annotations

import pytest
from gateway_core.regex.nodes import Alternatives, Anchor, Backreference, Chars, Concat, Group, Look, Node, Repeat
from gateway_core.regex.parser import Parser


def shown(node: Node) -> str:
    """Write a tree with all its brackets."""
    match node:
        case Chars():
            parts = [chr(low) if low == high else f"{chr(low)}-{chr(high)}" for low, high in node.ranges]
            return f"[{'^' * node.negated}{''.join(parts)}{node.categories}]"
        case Concat(items):
            return "".join(map(shown, items))
        case Alternatives(items):
            return f"({'|'.join(map(shown, items))})"
        case Repeat(item, least, most):
            return f"{{{shown(item)} {least},{'' if most is None else most}}}"
        case Group(item, name):
            return f"<{name or ''}:{shown(item)}>"
        case Anchor(kind):
            return f"({kind})"
        case _:
            return type(node).__name__


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("ab|c", "([a][b]|[c])"),
        ("a{2}b{,3}c{4,}d{,}", "{[a] 2,2}{[b] 0,3}{[c] 4,}{[d] 0,}"),
        ("a{}b{x}{", "[a][{][}][b][{][x][}][{]"),
        ("a*?b+?c??d*+", "{[a] 0,}{[b] 1,}{[c] 0,1}{[d] 0,}"),
        ("(?P<x>a(b))(?:c)", "<x:[a]<:[b]>>[c]"),
        ("[]a-c^]", "[]a-c^]"),
        (r"[^\w\]-]", "[^]-w]"),
        (r"[a\-z]", "[a-z]"),
        (r"\x41\u0042\U00000043\104\0\N{LATIN SMALL LETTER E}", "[A][B][C][D][\x00][e]"),
        (r"\.\/\n", "[.][/][\n]"),
        ("(?x) a b # c\n *", "[a]{[b] 0,}"),
        ("a(?#comment)*", "{[a] 0,}"),
        ("(?m)^a$", "(line_start)[a](line_end)"),
        (r"^a$\A\Z\b", "(start)[a](end)(start)(end)(boundary)"),
        (r"(a)\1(?=b)(?<!c)(?P<d>e)(?P=d)", "<:[a]>BackreferenceLookLook<d:[e]>Backreference"),
        (r"(a)(?(1)b|c)(?>d)", "<:[a]>ConditionalAtomic"),
        ("", ""),
        ("(|a)", "<:(|[a])>"),
    ],
)
def test_patterns_are_read_as_re_reads_them(text: str, tree: str) -> None:
    parser = Parser(text)

    assert shown(parser.parse()) == tree
    assert parser.is_done


@pytest.mark.parametrize(
    ("text", "ignore_case"),
    [("(?i)a", True), ("(?i:a)", True), ("(?i:b)a", False), ("(?i)(?-i:b)a", True)],
)
def test_flags_hold_to_the_end_of_their_group(text: str, ignore_case: bool) -> None:
    node = Parser(text).parse()
    last = node.items[-1] if isinstance(node, Concat) else node

    assert isinstance(last, Chars)
    assert last.ignore_case is ignore_case


def test_the_places_of_the_end_are_noted() -> None:
    parser = Parser(r"a$|[$]\$(?m:$)|$")
    parser.parse()

    assert parser.ends == [1, 15]


def test_lookbehinds_are_told_from_lookaheads() -> None:
    nodes = [Parser(text).parse() for text in ("(?=a)", "(?!a)", "(?<=a)", "(?<!a)")]

    assert [node.behind for node in nodes if isinstance(node, Look)] == [False, False, True, True]
    assert isinstance(Parser(r"(?P<a>b)(?P=a)").parse(), Concat)
    assert Backreference() == Backreference()
