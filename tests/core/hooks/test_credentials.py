"""What copies for mirrors come without."""

from __future__ import annotations

import logging

import pytest
from gateway_core.clock import SystemClock
from gateway_core.hooks import Binding, Faults, Plugin, PluginContext
from gateway_core.hooks.credentials import Credentials
from gateway_core.metrics import Metrics


def binding(headers: set[str] | None = None, parameters: set[str] | None = None) -> Binding:
    instance: Plugin[None] = Plugin(None, PluginContext("it", None, SystemClock(), logging.getLogger(), Metrics()))
    instance.credential_headers = frozenset(headers or ())
    instance.credential_parameters = frozenset(parameters or ())
    return Binding("it", "it", "", None, "deny", "deny", None, False, instance, Faults())


def left_of(credentials: Credentials, fields: str, target: str = "/a?b=c") -> tuple[str, list[str]]:
    """Return the target and the names of the fields that are left of a head."""
    head = f"GET {target} HTTP/1.1\r\nHost: x\r\n{fields}\r\n"
    line, *lines = credentials.removed_from(head.encode()).decode().removesuffix("\r\n\r\n").split("\r\n")
    return line.split(" ")[1], [each.partition(":")[0] for each in lines]


@pytest.mark.parametrize("name", ["Authorization", "COOKIE", "Proxy-Authorization", "x-api-key", "X-Auth-Token"])
def test_usual_fields_of_credentials_are_left_out_where_no_plugin_names_any(name: str) -> None:
    assert left_of(Credentials.of([]), f"{name}: 1\r\nX-Kept: 1\r\n{name}: 2\r\n") == ("/a?b=c", ["Host", "X-Kept"])


def test_fields_that_merely_sound_like_it_are_kept() -> None:
    names = ["Host", "Idempotency-Key", "X-Hub-Signature-256", "X-User"]

    assert left_of(Credentials.of([]), "".join(f"{name}: 1\r\n" for name in names[1:]))[1] == names


def test_what_any_binding_names_is_left_out() -> None:
    credentials = Credentials.of([binding({"X-Partner"}, {"key"}), binding(), binding({"X-Ticket"}, {"a b"})])

    assert left_of(credentials, "x-partner: 1\r\nX-Ticket: 1\r\nX-Kept: 1\r\n") == ("/a?b=c", ["Host", "X-Kept"])


@pytest.mark.parametrize(
    ("sent", "left"),
    [
        ("/a?key=1", "/a"),
        ("/a?b=%20&key=1&key&c", "/a?b=%20&c"),
        ("/a?%6bey=1&Key=2", "/a?Key=2"),
        ("/key=1?a+b=2&x=key", "/key=1?x=key"),
        ("/a?", "/a?"),
        ("/a", "/a"),
    ],
)
def test_parameters_are_left_out_by_their_decoded_names_and_all_else_stays_to_the_letter(sent: str, left: str) -> None:
    assert left_of(Credentials.of([binding(set(), {"key", "a b"})]), "", sent)[0] == left
