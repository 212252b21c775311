from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from gateway_core.config.codes import CODE, CODES

from docs.problems_reference import PAGE, page

ROOT = Path(__file__).parents[2]
CORE = ROOT / "core" / "src" / "gateway_core"


def texts(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def given_codes(path: Path) -> Iterator[str]:
    """Yield what stands as ``code=`` in a call, or as the attribute ``code`` of a class."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        match node:
            case (
                ast.keyword(arg="code", value=ast.Constant(value=str(code)))
                | ast.Assign(targets=[ast.Name(id="code")], value=ast.Constant(value=str(code)))
                | ast.AnnAssign(target=ast.Name(id="code"), value=ast.Constant(value=str(code)))
            ):
                yield code


def sources() -> list[Path]:
    return [
        path for path in CORE.rglob("*.py") if path != CORE / "config" / "codes.py" and "template" not in path.parts
    ]


def test_the_page_is_that_of_the_table() -> None:
    assert PAGE.read_text("utf-8") == page(), "run: python docs/problems_reference.py"


def test_codes_look_like_codes_and_are_described_in_a_line() -> None:
    assert [code for code in CODES if CODE.fullmatch(code) is None or "." not in code] == []
    assert [text for code in CODES.values() for text in code if not re.fullmatch(r"[^\n|]+[^.\s|]", text)] == []


def test_every_code_that_the_core_gives_is_in_the_table() -> None:
    given = {code: path.name for path in sources() for code in given_codes(path)}

    assert {code: name for code, name in given.items() if code not in CODES} == {}


def test_every_code_of_the_table_is_given_somewhere() -> None:
    used = {text for path in sources() for text in texts(path)}

    assert sorted(set(CODES) - used) == []
