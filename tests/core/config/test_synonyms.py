from __future__ import annotations

import pytest
from gateway_core.config import ConfigError, GatewayConfig
from gateway_core.config.model_errors import fields_at
from gateway_core.config.problems import KeyPath
from gateway_core.config.synonyms import _HINTS, placement_hint, synonym_hint

from tests.core.config.conftest import Load

SECTIONS: dict[str, KeyPath] = {
    "": (),
    "routes": ("routes", 0),
    "upstreams": ("upstreams", 0),
    "endpoints": ("upstreams", 0, "endpoints", 0),
    "listen": ("listen", 0),
    "plugins": ("plugins", 0),
    "health_check": ("upstreams", 0, "health_check"),
    "rewrite": ("routes", 0, "rewrite"),
    "error_pages": ("error_pages", 0),
    "admin": ("admin",),
    "retries": ("upstreams", 0, "retries"),
    "timeouts": ("upstreams", 0, "timeouts"),
    "circuit_breaker": ("upstreams", 0, "circuit_breaker"),
    "tls": ("listen", 0, "tls"),
}


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        (("routes", 0, "strip_prefix"), "write strip_path: true"),
        (("routes", 3, "upstream"), "write target, with the name of an upstream or a URL"),
        (("routes", 0, "service"), "write target, with the name of an upstream or a URL"),
        (("routes", 0, "health_check"), "it belongs on an upstream, under upstreams"),
        (("routes", 0, "websocket"), "leave it out, WebSockets pass without a setting"),
        (("upstreams", 0, "nodes"), "write endpoints: [{url: http://127.0.0.1:8081}]"),
        (("listen", "port"), 'write address: ":8080"'),
        (("routes", 0, "plugins", 1, "conf"), "write config"),
        (("tls",), 'write it on a listener: listen: {address: ":443", tls: {cert: ..., key: ...}}'),
        (
            ("routes", 0, "https_redirect"),
            "write https_redirect: true on a listener, or redirect: {scheme: https} on a route beside this one",
        ),
        (("routes", 0, "gzip"), "bind the plugin compress: plugins: [{name: compress, config: {...}}]"),
        (("routes", 0, "headers", "x-a", "exact"), "write value"),
        (("routes", 0, "query", "a", "contains"), "write regex: .*value.*"),
        (("routes", 0, "headers", "set", "x-a"), "these are conditions: bind the plugin headers to change fields"),
        (("routes", 0, "plugins", 0, "cors"), "write {name: cors, config: {...}}"),
        (("routes", 0, "client_ip", "not"), "write none_of: [...]"),
        (("error_pages", 0, "file"), "write body: ${file:page.html}"),
        (("routes", 0, "load_balancing"), "it belongs on an upstream, under upstreams, as strategy"),
        (("routes", 0, "redirect", "url"), "write scheme, host and path, or prefix"),
        (("routes", 0, "redirect", "code"), "write status"),
        (("routes", 0, "nonsense"), ""),
    ],
)
def test_words_of_other_gateways_get_ours(path: KeyPath, hint: str) -> None:
    assert synonym_hint(path) == hint


def test_what_resembles_no_key_of_a_binding_is_an_option_of_the_plugin() -> None:
    assert placement_hint(("routes", 0, "plugins", 0, "origins")) == "write options of the plugin in config: {...}"
    assert placement_hint(("routes", 0, "origins")) == ""


WORDS = {
    "Kong": {
        "": "services consumers _format_version certificates snis vaults consumer_groups",
        "routes": "paths service snis regex_priority protocols request_buffering path_handling tags openid-connect acl",
        "upstreams": "targets algorithm healthchecks host_header slots tls_verify ca_certificates client_certificate",
        "plugins": "route service run_on instance_name",
    },
    "Traefik": {
        "": "entryPoints providers routers services middlewares accessLog certificatesResolvers ping api",
        "routes": "rule service middlewares entryPoints stripPrefix tls replacePathRegex redirectScheme "
        "buffering responseForwarding forwardAuth",
        "listen": "forwardedHeaders certResolver",
        "upstreams": "servers loadBalancer healthCheck sticky passHostHeader serversTransport "
        "insecureSkipVerify failover",
    },
    "nginx": {
        "": "server location upstream worker_processes client_max_body_size keepalive_timeout error_log access_log ssl "
        "real_ip_header set_real_ip_from server_tokens stub_status large_client_header_buffers split_clients map "
        "client_header_timeout send_timeout ssl_protocols",
        "routes": "proxy_pass proxy_set_header return proxy_read_timeout limit_req auth_basic add_header server_name "
        "auth_request limit_conn try_files proxy_next_upstream proxy_send_timeout proxy_http_version "
        "proxy_request_buffering proxy_cache split_clients proxy_ssl_verify server_tokens proxy_cache_bypass if set "
        "proxy_intercept_errors satisfy internal autoindex index charset default_type uwsgi_pass fastcgi_pass "
        "grpc_pass auth_basic_user_file log_not_found proxy_hide_header",
        "upstreams": "server least_conn ip_hash max_fails fail_timeout max_conns proxy_ssl_verify",
        "endpoints": "down max_fails max_conns",
        "listen": "ssl reuseport default_server server_name ssl_certificate ssl_protocols location keepalive_timeout",
        "tls": "ssl_certificate ssl_certificate_key ssl_protocols ssl_ciphers ssl_client_certificate",
    },
    "Envoy": {
        "": "static_resources listeners clusters dynamic_resources node overload_manager",
        "routes": "match route cluster prefix_rewrite host_rewrite_literal timeout retry_policy weighted_clusters "
        "safe_regex per_try_timeout stat_prefix idle_timeout max_stream_duration",
        "upstreams": "load_assignment lb_policy health_checks circuit_breakers connect_timeout transport_socket type "
        "common_tls_context http2_protocol_options max_requests_per_connection dns_lookup_family",
        "listen": "socket_address filter_chains http_filters use_remote_address xff_num_trusted_hops transport_socket",
        "retries": "num_retries retry_on",
    },
    "Caddy": {
        "": "apps logging handle reverse_proxy auto_https import encode",
        "routes": "handle reverse_proxy handle_path redir to uri strip_prefix basicauth header_up "
        "matchers path_regexp host_regexp header_regexp try_files forward_auth lb_try_duration "
        "flush_interval matcher request_buffers handle_errors request_body import transport abort",
        "upstreams": "to lb_policy health_uri dial transport max_fails lb_try_duration tls_insecure_skip_verify "
        "health_interval unhealthy_status",
    },
    "HAProxy": {
        "": "frontend backend global defaults",
        "routes": "acl use_backend default_backend path_beg path_reg hdr http-request balance maxconn option cookie",
        "upstreams": "server balance maxconn httpchk",
    },
    "KrakenD": {
        "": "endpoints version timeout cache_ttl output_encoding extra_config",
        "routes": "endpoint method url_pattern backend output_encoding input_headers headers_to_pass "
        "input_query_strings concurrent_calls extra_config cache_ttl timeout",
    },
    "Tyk": {
        "": "api_definition apis name",
        "routes": "listen_path target_url strip_listen_path active use_keyless allowed_ips CORS global_rate_limit "
        "disable_rate_limit cache_options custom_middleware extended_paths version_data",
    },
    "Gateway API": {
        "": "apiVersion kind spec rules",
        "routes": "hostnames matches filters backendRefs parentRefs rules sessionPersistence retry",
        "timeouts": "request backendRequest",
    },
    "Spring Cloud Gateway": {
        "": "spring resilience4j",
        "routes": "uri predicates filters order metadata",
        "circuit_breaker": "failure-rate-threshold sliding-window-size wait-duration-in-open-state",
    },
    "APISIX": {
        "": "services global_rules consumers plugin_configs ssls deployment plugin_metadata",
        "routes": "uri uris upstream_id plugin_config_id vars remote_addrs enable_websocket service_id timeout "
        "traffic-split proxy-rewrite proxy-mirror script filter_func openid-connect status labels desc",
        "upstreams": "nodes type key checks pass_host upstream_host scheme discovery_type service_name",
    },
}
"""At least seven words of each gateway, by where they would be written."""


@pytest.mark.parametrize("gateway", sorted(WORDS))
def test_the_words_of_each_gateway_have_hints(gateway: str) -> None:
    words = [(section, word) for section, text in WORDS[gateway].items() for word in text.split()]

    assert len(words) >= 7
    assert [each for each in words if not _HINTS[each[0]].get(each[1])] == []


@pytest.mark.parametrize("section", sorted(SECTIONS))
def test_no_word_of_ours_is_a_synonym_where_it_is_known(section: str) -> None:
    assert not _HINTS[section].keys() & set(fields_at(GatewayConfig, SECTIONS[section]))


def test_a_problem_ends_with_the_hint(load: Load) -> None:
    with pytest.raises(ConfigError) as caught:
        load("listen: 8080\nadmin: 127.0.0.1:9090\nroutes: [{path: /, upstream: a}]\n")

    messages = [problem.text for problem in caught.value.problems]
    assert messages == [
        '8080 is a number, where a mapping is expected: write ":8080" for every interface, or "127.0.0.1:8080"',
        '"127.0.0.1:9090" is text, where a mapping is expected: write {listen: "127.0.0.1:9090"}',
        'unknown key "upstream": write target, with the name of an upstream or a URL',
    ]
