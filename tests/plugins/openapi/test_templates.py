from __future__ import annotations

from itertools import permutations

import pytest
from gateway_openapi.templates import Templates, segments_of

TEMPLATES = ["/pets/{id}", "/pets/mine", "/pets/{id}.json", "/{kind}/mine/photos", "/pets/{id}/toys", "/", "/pets/"]


@pytest.mark.parametrize("order", [TEMPLATES, TEMPLATES[::-1]])
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/pets/mine", "/pets/mine"),
        ("/pets/7", "/pets/{id}"),
        ("/pets/7.json", "/pets/{id}.json"),
        ("/pets/.json", "/pets/{id}"),
        ("/pets/mine/photos", "/{kind}/mine/photos"),
        ("/pets/mine/toys", "/pets/{id}/toys"),
        ("/pets/", "/pets/"),
        ("/pets", None),
        ("/", "/"),
        ("/pets/7/none", None),
        ("/pets/7/", None),
        ("//pets//7", "/pets/{id}"),
        ("/pets/%6Dine", "/pets/mine"),
        ("/pets/mine;v=1", "/pets/mine"),
        ("/x" * 100, None),
    ],
)
def test_the_most_specific_template_is_found_whatever_their_order(
    order: list[str], path: str, expected: str | None
) -> None:
    templates: Templates[str] = Templates()
    for template in order:
        assert templates.add(template, template) is None

    assert templates.find(segments_of(path)) == expected


def test_templates_that_take_the_same_paths_are_told() -> None:
    templates: Templates[int] = Templates()

    assert templates.add("/a/{x}-{y}", 1) is None
    assert templates.add("/a/{p}-{q}", 2) == "/a/{x}-{y}"
    assert templates.find(["a", "1-2"]) == 1


def test_characters_of_patterns_are_text() -> None:
    templates: Templates[int] = Templates()
    templates.add("/[*?]{x}", 1)

    assert templates.find(["[*?]a"]) == 1
    assert templates.find(["bbba"]) is None


@pytest.mark.timeout(20)
def test_a_look_up_takes_no_more_steps_than_there_are_segments() -> None:
    templates: Templates[int] = Templates()
    for names in set(permutations(["a", "{x}"] * 3, 6)):
        templates.add("/" + "/".join(names), 1)
    templates.add("/" + "{x}a" * 30, 2)

    assert templates.find(["a"] * 7) is None
    assert templates.find(["a" * 5000 + "b"]) is None
