"""Ids of requests: unique, of one length, and the line that ends a head."""

from __future__ import annotations

import re

from gateway_core.messages.request_ids import id_line, id_of, new_id_lines


def test_an_id_line_is_the_field_and_the_end_of_the_head() -> None:
    line = new_id_lines()()

    assert re.fullmatch(rb"\r\nX-Request-Id: [0-9a-f]{32}\r\n\r\n", line)
    assert id_line(id_of(line).encode()) == line


def test_ids_do_not_repeat_also_where_the_digits_of_the_tables_are_used_up() -> None:
    next_line = new_id_lines()

    lines = [next_line() for _ in range(2 * 65536 + 10)]

    assert len(set(lines)) == len(lines)
    assert {len(line) for line in lines} == {len(lines[0])}


def test_processes_have_ids_of_their_own() -> None:
    assert new_id_lines()()[:36] != new_id_lines()()[:36]


def test_an_id_that_came_is_the_text_of_its_line() -> None:
    assert id_of(id_line(b"from-a-proxy/1")) == "from-a-proxy/1"
