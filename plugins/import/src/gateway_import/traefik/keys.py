"""Keys as Traefik writes them: it reads ``entrypoints`` as ``entryPoints``, and so with every other one."""

from __future__ import annotations

from typing import Final

from gateway_import.nodes import Node

_KNOWN: Final = {
    name.lower(): name
    for name in (
        "http", "tcp", "udp", "tls", "routers", "services", "middlewares", "serversTransports", "entryPoints", "rule",
        "ruleSyntax", "priority", "service", "options", "certificates", "certFile", "keyFile", "stores", "certResolver",
        "domains", "loadBalancer", "weighted", "mirroring", "failover", "servers", "url", "weight", "preservePath",
        "passHostHeader", "sticky", "cookie", "secure", "httpOnly", "sameSite", "maxAge", "healthCheck", "interval",
        "timeout", "hostname", "followRedirects", "serversTransport", "responseForwarding", "mirrors", "percent",
        "mirrorBody", "maxBodySize", "fallback", "serverName", "insecureSkipVerify", "rootCAs", "chain", "basicAuth",
        "digestAuth", "forwardAuth", "ipAllowList", "ipWhiteList", "rateLimit", "inFlightReq", "headers", "stripPrefix",
        "stripPrefixRegex", "addPrefix", "replacePath", "replacePathRegex", "redirectScheme", "redirectRegex", "retry",
        "circuitBreaker", "compress", "errors", "buffering", "contentType", "grpcWeb", "plugin", "users", "usersFile",
        "realm", "removeHeader", "headerField", "address", "authRequestHeaders", "authResponseHeaders",
        "authResponseHeadersRegex", "trustForwardHeader", "sourceRange", "ipStrategy", "rejectStatusCode", "average",
        "burst", "period", "sourceCriterion", "requestHeaderName", "requestHost", "amount", "customRequestHeaders",
        "customResponseHeaders", "customFrameOptionsValue", "customBrowserXSSValue", "frameDeny", "contentTypeNosniff",
        "browserXssFilter", "contentSecurityPolicy", "referrerPolicy", "permissionsPolicy", "stsSeconds",
        "stsIncludeSubdomains", "stsPreload", "forceSTSHeader", "addVaryHeader", "isDevelopment", "allowedHosts",
        "accessControlAllowOriginList", "accessControlAllowOriginListRegex", "accessControlAllowMethods",
        "accessControlAllowHeaders", "accessControlExposeHeaders", "accessControlAllowCredentials",
        "accessControlMaxAge", "prefixes", "forceSlash", "prefix", "path", "scheme", "permanent", "port", "attempts",
        "initialInterval", "expression", "checkPeriod", "fallbackDuration", "recoveryDuration", "encodings",
        "includedContentTypes", "excludedContentTypes", "minResponseBodyBytes", "defaultEncoding", "status", "query",
        "maxRequestBodyBytes", "memRequestBodyBytes", "maxResponseBodyBytes", "memResponseBodyBytes", "allowOrigins",
        "minVersion", "maxVersion", "sniStrict", "clientAuth", "caFiles", "clientAuthType", "cipherSuites",
    )
}  # fmt: skip
_NAMED: Final = frozenset(
    [
        "routers",
        "services",
        "middlewares",
        "serversTransports",
        "options",
        "customRequestHeaders",
        "customResponseHeaders",
    ]
)
"""What has names of the file's own as keys."""


def canonical(node: Node, *, are_names: bool = False) -> Node:
    """Return a value with its keys in Traefik's spelling."""
    if isinstance(node.value, list):
        return Node(node.origin, [canonical(each) for each in node.value], node.size)
    if not isinstance(node.value, dict):
        return node
    made: dict[str, Node] = {}
    for key, value in node.value.items():
        name = key if are_names else _KNOWN.get(key.lower(), key)
        made[name] = canonical(value, are_names=name in _NAMED and not are_names)
    return Node(node.origin, made, node.size)
