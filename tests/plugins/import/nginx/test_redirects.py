"""Redirects: ours to a scheme take requests of the other scheme only, those of nginx take all."""

from __future__ import annotations

from typing import Any

import pytest

from tests.importing import import_text, written


def routes_of(text: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = written(import_text("nginx", text))["routes"]
    return found


@pytest.mark.parametrize(
    ("listen", "to", "schemes"),
    [
        ("80", "https://b.org", [None]),
        ("80", "http://b.org", ["http"]),
        ("443 ssl", "https://b.org", ["https"]),
        ("443 ssl", "http://b.org", [None]),
        ("80; listen 443 ssl", "https://b.org", [None, "https"]),
    ],
)
def test_a_redirect_elsewhere_takes_the_requests_that_have_its_scheme_too(
    listen: str, to: str, schemes: list[str | None]
) -> None:
    certificate = "ssl_certificate c.pem; ssl_certificate_key k.pem;"
    location = f"location /a {{ return 301 {to}$request_uri; }} location / {{ return 200 x; }}"
    imported = import_text("nginx", f"server {{ listen {listen}; {certificate} {location} }}")
    redirects = [each for each in written(imported)["routes"] if "redirect" in each]

    assert [each.get("scheme") for each in redirects] == schemes
    assert {each["redirect"]["host"] for each in redirects} == {"b.org"}


def test_a_redirect_elsewhere_takes_both_schemes_where_a_proxy_may_name_the_scheme() -> None:
    found = routes_of(
        "http { set_real_ip_from 10.0.0.1; server { location / { return 301 https://b.org$request_uri; } } }"
    )

    assert [each.get("scheme") for each in found if "redirect" in each] == [None, "https"]


def test_a_redirect_that_leads_to_itself_leaves_no_request_to_a_neighbour() -> None:
    first, second, *_ = routes_of(
        "server { listen 80; listen 443 ssl; ssl_certificate c; ssl_certificate_key k; "
        "location /a { return 301 https://$host$request_uri; } location / { return 200 x; } }"
    )

    assert first["redirect"] == {"status": 301, "scheme": "https"}
    assert (second["path_regex"], second["scheme"], second["respond"]) == ("/a.*", "https", {"status": 403})
