from __future__ import annotations

from pathlib import Path

import pytest
from gateway_openapi.documents import DocumentError
from gateway_plugin_validate.files import Files


def files_in(folder: Path) -> Files:
    api = folder / "api"
    (api / "sub").mkdir(parents=True)
    (folder / "secret.yaml").write_text("a: 1")
    (api / "sub" / "types.yaml").write_text("A: {$ref: 'more.json#/B'}\nself: {$ref: '#/self'}")
    (api / "sub" / "more.json").write_text('{"B": {"type": "string"}}')
    (api / "broken.json").write_text('{"a": ')
    (api / "linked.yaml").symlink_to(folder / "secret.yaml")
    return Files(api / "main.yaml", {"top": {"a~/b": 1}})


def test_references_are_followed_through_files(tmp_path: Path) -> None:
    files = files_in(tmp_path)

    found, place = files.resolve({"$ref": "sub/types.yaml#/A"}, files.main)

    assert found == {"type": "string"}
    assert str(place) == "more.json#/B"
    assert files.find("#/top/a~0~1b", files.main)[0] == 1


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("../secret.yaml#/a", "outside the folder"),
        ("/etc/passwd", "outside the folder"),
        ("%2e%2e/secret.yaml", "outside the folder"),
        ("linked.yaml#/a", "outside the folder"),
        ("http://127.0.0.1/x.yaml", "nothing is fetched"),
        ("file:///etc/passwd", "nothing is fetched"),
        ("//host/x.yaml", "nothing is fetched"),
        ("none.yaml", "cannot be read"),
        ("sub", "cannot be read"),
        ("broken.json", "is no JSON"),
        ("sub/types.yaml#/C", "not there"),
        ("#anchor", "not there"),
    ],
)
def test_references_that_leave_the_folder_or_name_nothing_are_refused(
    tmp_path: Path, reference: str, reason: str
) -> None:
    files = files_in(tmp_path)

    with pytest.raises(DocumentError, match=reason):
        files.find(reference, files.main)


def test_references_in_circles_are_refused(tmp_path: Path) -> None:
    files = files_in(tmp_path)

    with pytest.raises(DocumentError, match="refers to itself"):
        files.resolve({"$ref": "sub/types.yaml#/self"}, files.main)


def test_a_schema_of_the_configuration_refers_only_to_itself(tmp_path: Path) -> None:
    files_in(tmp_path)
    files = Files(tmp_path / "api" / "x", {"a": 1}, is_alone=True)

    assert files.find("#/a", files.main)[0] == 1
    with pytest.raises(DocumentError, match="outside the folder"):
        files.find("sub/more.json#/B", files.main)
