from __future__ import annotations

from gateway_core.config import BindingConfig


def test_id_is_the_name_unless_given() -> None:
    assert BindingConfig(name="auth").id == "auth"
    assert BindingConfig(name="auth", id="second").id == "second"
    assert BindingConfig.model_validate({"name": "auth", "id": None}).id == "auth"


def test_what_the_plugin_decides_is_left_open() -> None:
    binding = BindingConfig(name="auth")

    assert (binding.on_error, binding.timeout, binding.on_timeout, binding.quarantine) == (None, None, None, None)
    assert (binding.enabled, binding.mode, binding.config) == (True, "enforce", {})
