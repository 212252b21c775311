"""Fields that upstreams take for the word of a proxy: which they are, and how their names can be disguised.

CGI, WSGI, PHP and Rack give ``X-Real-IP``, ``X_Real_IP`` and ``x.real-ip`` to an application as one variable, because
every character of a name that is neither letter nor digit becomes ``_``. So names are compared in a folded form, in
which each such character is ``-``.

A field is listed here if servers or frameworks believe it and only an intermediary has a reason to send it. Fields that
clients send for themselves are not listed although proxies use them too: ``X-HTTP-Method-Override`` and its kind,
``traceparent``, ``X-Amzn-Trace-Id``, ``X-Correlation-Id``, ``CF-Access-Client-Id``. ``strip_headers`` removes those.
"""

from __future__ import annotations

from typing import Final

LOOP_FIELDS: Final = frozenset({b"cdn-loop", b"via"})
"""Fields by which intermediaries find requests that come back to them: they go on from every sender."""

GATEWAY_FIELDS: Final = LOOP_FIELDS | frozenset(
    {
        b"forwarded",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-port",
        b"x-forwarded-proto",
        b"x-request-id",
    }
)
"""Fields that the gateway writes itself; what came in is weighed by who sent it."""

UNTRUSTED_FAMILIES: Final = (
    # Addresses, schemes, hosts and ports; oauth2-proxy's and Traefik's users; client certificates (Envoy, Traefik).
    b"x-forward",
    b"forwarded",
    b"x-real-",
    # URLs before a rewrite, which frameworks route by (Symfony, Zend, IIS), and ASP.NET's copies of X-Forwarded-*.
    b"x-original-",
    b"x-originally-",
    b"x-originating-",
    b"x-rewrite-",
    # Envoy's control of timeouts, retries and internal requests.
    b"x-envoy-",
    # nginx and Rack::Sendfile: which files the application may have sent.
    b"x-accel-",
    # Content delivery networks and clouds: addresses, schemes, countries, identities.
    b"ali-cdn-",
    b"cf-connecting-",
    b"cf-ip",
    b"cloudfront-",
    b"fly-client-",
    b"fly-forwarded-",
    b"x-amzn-mtls-",
    b"x-amzn-oidc-",
    b"x-appengine-",
    b"x-appgw-",
    b"x-azure-",
    b"x-fd-",
    b"x-goog-authenticated-user-",
    b"x-ms-client-principal",
    b"x-nf-client-",
    b"x-vercel-",
    # Client certificates that a proxy verified (nginx, HAProxy, Apache, IIS, RFC 9440).
    b"client-cert",
    b"ssl-client-",
    b"x-arr-",
    b"x-client-cert",
    b"x-client-verify",
    b"x-ssl-",
    b"x-tls-client-",
    # Users that a proxy authenticated.
    b"remote-user",
    b"tailscale-user-",
    b"x-auth-request-",
    b"x-authentik-",
    b"x-consumer-",
    b"x-pomerium-",
    b"x-remote-",
    b"x-vouch-",
    b"x-webauth-",
)
"""What the folded names of untrusted fields begin with."""

UNTRUSTED_NAMES: Final = frozenset(
    {
        # The client's address.
        b"cdn-real-ip",
        b"cdn-src-ip",
        b"cf-pseudo-ipv4",
        b"client-ip",
        b"cluster-client-ip",
        b"do-connecting-ip",
        b"fastly-client",
        b"fastly-client-ip",
        b"http-client-ip",
        b"incap-client-ip",
        b"proxy-client-ip",
        b"real-ip",
        b"remote-addr",
        b"remote-host",
        b"true-client-ip",
        b"wl-proxy-client-ip",
        b"x-client-ip",
        b"x-client-port",
        b"x-cluster-client-ip",
        b"x-coming-from",
        b"x-custom-ip-authorization",
        b"x-peer-ip",
        b"x-proxyuser-ip",
        b"x-source-ip",
        b"x-sucuri-clientip",
        b"x-true-client-ip",
        # The scheme.
        b"cf-visitor",
        b"fastly-ssl",
        b"front-end-https",
        b"https",
        b"wl-proxy-ssl",
        b"x-client-proto",
        b"x-client-scheme",
        b"x-proto",
        b"x-scheme",
        b"x-ssl",
        b"x-url-scheme",
        # The host.
        b"x-host",
        b"x-host-override",
        b"x-http-host-override",
        # The URL, and the part of it that an application is mounted at (gunicorn's forwarder_headers).
        b"path-info",
        b"request-uri",
        b"script-name",
        b"x-path-info",
        b"x-request-uri",
        b"x-request-url",
        b"x-script-name",
        # HTTP_PROXY, which libraries take for the environment's (CVE-2016-5385).
        b"proxy",
        # Which files Rack::Sendfile lets a proxy send.
        b"x-sendfile-type",
        # Users that a proxy authenticated (Authelia, Cloudflare Access, Kong).
        b"cf-access-authenticated-user-email",
        b"remote-email",
        b"remote-groups",
        b"remote-name",
        b"x-anonymous-consumer",
        b"x-authenticated-groups",
        b"x-authenticated-scope",
        b"x-authenticated-user",
        b"x-authenticated-userid",
        b"x-credential-identifier",
    }
)
"""Folded names of further untrusted fields."""

_LETTERS: Final = b"abcdefghijklmnopqrstuvwxyz0123456789"
_FOLDED: Final = bytes(each if each in _LETTERS else ord("-") for each in range(256))


def folded(name: bytes) -> bytes:
    """Return a lower-case name as CGI distinguishes names, with ``-`` for every character that it cannot hold."""
    return name.translate(_FOLDED)


def is_untrusted(name: bytes) -> bool:
    """Whether a folded name is that of an untrusted field."""
    return name in UNTRUSTED_NAMES or name in GATEWAY_FIELDS or name.startswith(UNTRUSTED_FAMILIES)
