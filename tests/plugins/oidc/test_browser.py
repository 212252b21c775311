from __future__ import annotations

import pytest
from gateway_plugin_oidc.browser import authority_of, is_from_us, is_navigation, may_log_out, origin_of
from gateway_plugin_sdk import Request

OURS = {"https://app.example"}


def request(method: str = "GET", **headers: str) -> Request:
    return Request(method, "/", {name.replace("_", "-"): value for name, value in headers.items()})


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://App.Example:443/cb", "https://app.example"),
        ("http://app.example:80", "http://app.example"),
        ("https://app.example:80/", "https://app.example:80"),
    ],
)
def test_an_origin_is_written_as_browsers_do(url: str, origin: str) -> None:
    assert origin_of(url) == origin


def test_a_host_is_compared_without_the_usual_port() -> None:
    assert authority_of("APP.example:443", "https") == "app.example"
    assert authority_of("app.example:443", "http") == "app.example:443"


def test_fetch_metadata_counts_before_accept() -> None:
    assert is_navigation(request(sec_fetch_mode="navigate"))
    assert not is_navigation(request(sec_fetch_mode="no-cors", accept="text/html"))
    assert is_navigation(request(accept="text/html"))
    assert not is_navigation(request())
    assert not is_navigation(request("POST", sec_fetch_mode="navigate"))


@pytest.mark.parametrize(
    "ahead", [{"sec_purpose": "prefetch"}, {"sec_purpose": "prefetch;prerender"}, {"purpose": "prefetch"}]
)
def test_what_is_loaded_ahead_is_neither_a_navigation_nor_a_logout(ahead: dict[str, str]) -> None:
    assert not is_navigation(request(sec_fetch_mode="navigate", **ahead))
    assert not may_log_out(request(sec_fetch_site="same-origin", **ahead), OURS)


def test_several_origins_are_none_of_ours() -> None:
    twice = Request("POST", "/", [("Origin", "https://app.example"), ("Origin", "https://app.example")])

    assert is_from_us(request("POST", origin="https://app.example"), OURS)
    assert not is_from_us(twice, OURS)


@pytest.mark.parametrize("sites", [("same-origin", "cross-site"), ("cross-site", "none"), ("none", "none"), ("",)])
def test_several_sites_or_an_empty_one_are_none_of_ours(sites: tuple[str, ...]) -> None:
    fields = [("Sec-Fetch-Site", site) for site in sites]

    assert not is_from_us(Request("POST", "/", fields), OURS)
    assert not may_log_out(Request("GET", "/", fields), OURS)


def test_a_logout_by_navigation_is_the_users_own() -> None:
    assert may_log_out(request(), OURS), "browsers that send no fetch metadata"
    assert may_log_out(request(origin="https://app.example"), OURS)
    assert not may_log_out(request(origin="null"), OURS)
    assert not may_log_out(request(origin="https://evil.example", sec_fetch_site="same-origin"), OURS)
    assert may_log_out(request(sec_fetch_site="none"), OURS)
    assert not may_log_out(request(sec_fetch_site="cross-site"), OURS)
    assert not may_log_out(request("POST"), OURS)


def test_what_the_client_sent_counts_and_not_what_goes_upstream() -> None:
    foreign = request("POST", origin="https://evil.example", sec_fetch_site="cross-site")
    foreign.headers["Origin"] = "https://app.example"
    navigation = request(sec_fetch_site="cross-site")
    del navigation.headers["Sec-Fetch-Site"]

    assert not is_from_us(foreign, OURS)
    assert not may_log_out(navigation, OURS)
