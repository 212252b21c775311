from __future__ import annotations

from gateway_core.config.address import target_name


def test_a_target_is_named_by_all_of_its_parameters() -> None:
    name = target_name("users-:tenant.:zone")

    assert name is not None
    assert name.params == ("tenant", "zone")
    assert name.for_params({"tenant": "a", "zone": "b"}) == "users-a.b"


def test_a_name_that_lacks_a_parameter_is_none() -> None:
    name = target_name("users-:tenant")

    assert name is not None
    assert name.for_params({"tenant": "a"}) == "users-a"
    assert name.for_params({"other": "a"}) is None


def test_only_names_with_something_in_the_place_of_the_parameter_can_be_meant() -> None:
    name = target_name("u.:t")

    assert name is not None
    assert name.among(["u.a", "u.", "uxa", "u.a.b", "v.a"]) == ["u.a", "u.a.b"]
    assert target_name("users") is None
