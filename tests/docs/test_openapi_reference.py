from __future__ import annotations

import json

from gateway_core.admin.resources import OPERATIONS
from gateway_core.errors import ProblemMembers, RefusedError
from jsonschema import Draft202012Validator

from docs.openapi_reference import DOCUMENT, PAGE, document_text, page


def test_document_and_page_are_those_of_the_table() -> None:
    assert DOCUMENT.read_text("utf-8") == document_text(), "run: python docs/openapi_reference.py"
    assert PAGE.read_text("utf-8") == page(), "run: python docs/openapi_reference.py"


def test_every_operation_is_in_the_document_with_an_id_of_its_own() -> None:
    paths = json.loads(document_text())["paths"]
    found = [operation for methods in paths.values() for operation in methods.values()]

    assert len(found) == len(OPERATIONS)
    assert len({each["operationId"] for each in found}) == len(found)


def test_every_reference_leads_to_a_schema_and_every_schema_is_one() -> None:
    found = json.loads(document_text())
    schemas = found["components"]["schemas"]

    references = {part.split('"')[0] for part in document_text().split('"#/components/schemas/')[1:]}

    assert references <= schemas.keys()
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)


def test_the_schema_of_a_problem_allows_each_member_that_a_refusal_may_have() -> None:
    every: ProblemMembers = {"place": "gateway.yaml:1", "revision": 1, "upstreams": ["a"]}
    refused = RefusedError(412, "changed", "If-Match does not hold", problems=[{}], report="...", more=every)
    schema = json.loads(document_text())["components"]["schemas"]["Problem"]

    assert every.keys() == ProblemMembers.__annotations__.keys()
    assert not list(Draft202012Validator(schema).iter_errors(refused.content))


def test_every_default_fits_its_schema() -> None:
    schemas = json.loads(document_text())["components"]["schemas"]
    properties = [each for schema in schemas.values() for each in schema.get("properties", {}).values()]
    defaults = [each for each in properties if "default" in each]

    assert {each["default"] for each in defaults if each.get("x-expected") == "a duration"} == {"1d", "1h", "10m"}
    assert [each for each in defaults if not Draft202012Validator(each).is_valid(each["default"])] == []
