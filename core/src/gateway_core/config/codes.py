"""The codes of problems: stable names for programs, documented in docs/problems.md, which is made from this table.

A code is never given another meaning. What plugins find themselves has codes of theirs, ``PLUGIN.what``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

CODE: Final = re.compile(r"[a-z][a-z0-9-]*(\.[a-z0-9-]+)*")
"""What a code looks like."""


class Code(NamedTuple):
    """One kind of problem."""

    meaning: str
    remedy: str
    """What to do about it in general; a problem says it more precisely where it can."""


CODES: Final[Mapping[str, Code]] = {
    # documents and files
    "admin.not-allowed": Code(
        "a document that is not of this machine routes to the admin listener",
        "route to it in a local document, or give the source `allow: [files]` in `sources`",
    ),
    "document.alias": Code(
        "an alias (`*name`) contains itself, or aliases expand to too many values",
        "write the values out, or use fewer aliases",
    ),
    "document.conflict": Code(
        "two documents give one key different values", "keep one of the values, or move what differs to a list"
    ),
    "document.empty": Code("a document has no content", "write at least a route, or remove the file"),
    "document.merge": Code(
        "`<<` merges something that is no mapping", "merge a mapping (`<<: *name`) or a list of mappings"
    ),
    "document.none": Code(
        "a directory or source holds no configuration documents",
        "name a directory with files that end in .yaml, .yml, .json or .toml",
    ),
    "document.not-a-mapping": Code(
        "a document is a list or a single value, where a mapping is expected",
        "write keys such as `routes` at the top level",
    ),
    "document.syntax": Code(
        "a document is not valid YAML, JSON or TOML",
        "correct the text where the caret points; quotes around values and spaces for indentation help most often",
    ),
    "document.tag": Code("a value has a YAML tag that is not supported", "remove the tag"),
    "file.missing": Code(
        "a file that is named does not exist",
        "create the file or correct its path; a relative one starts from the document that names it",
    ),
    "file.not-allowed": Code(
        "a document that is not of this machine names a file or a program",
        "name the file in a local document, or give the source `allow: [files]` in `sources`",
    ),
    "file.not-a-directory": Code(
        "a file is named where a directory is expected", "name the directory that the file is in"
    ),
    "file.not-a-file": Code("a directory is named where a file is expected", "name a regular file"),
    "file.not-utf8": Code("a file is not UTF-8 text", "save the file as UTF-8"),
    "file.too-large": Code("a file is larger than what is read", "split the file, or use `include`"),
    "file.unreadable": Code(
        "a file exists and could not be read", "let the gateway's user read the file and enter its directories"
    ),
    "include.cycle": Code("a file includes itself", "remove one of the includes"),
    "include.not-allowed": Code(
        "a document that is no file includes others", "move the include to a file of this machine"
    ),
    "source.invalid": Code(
        "the URL of a source cannot be used", "correct the URL: docs/sources.md has the options of each kind"
    ),
    "source.key-ignored": Code(
        "a document of a source sets `admin` or `sources` (warning)", "move the key to a file of this machine"
    ),
    "source.not-asked": Code(
        "a source was not asked, because of `--offline` (warning)",
        "check without `--offline` where the source can be reached",
    ),
    "source.not-installed": Code(
        "no installed extension offers sources of this scheme",
        "correct the scheme, or install the extension: `pip install gateway-plugin-NAME`",
    ),
    "source.unavailable": Code(
        "a source did not respond",
        "see that the source runs and can be reached from here; `--offline` checks without it",
    ),
    "substitution.not-allowed": Code(
        "a document of a source uses the environment or a file, and its source may not",
        "write the value, or give the source `allow: [env]` or `allow: [files]` in `sources`",
    ),
    "substitution.syntax": Code(
        "`${...}` is not one of the known forms",
        "write `${NAME}`, `${NAME:-default}`, `${NAME:?message}` or `${file:/path}`, and `$${` for a literal `${`",
    ),
    "substitution.unset": Code(
        "a variable is not set in the environment and has no default",
        "set the variable for the gateway and for `gateway check`, or give a default",
    ),
    # keys and values
    "key.duplicate": Code("a key is given twice in one mapping", "keep one of them"),
    "key.invalid": Code("a key is not one that fits there", "see the reference for the keys of this section"),
    "key.missing": Code("a required key is missing", "add the key"),
    "key.unknown": Code(
        "a key is not known there", "correct its spelling, or remove it; keys that begin with `x-` are ignored"
    ),
    "value.inconsistent": Code(
        "keys of one section exclude each other, or need each other",
        "keep what goes together: the reference says which keys exclude or need each other",
    ),
    "value.invalid": Code(
        "a value does not read as what it should be", "write the value in the form that the message shows"
    ),
    "value.not-allowed": Code("a value is not one of those allowed", "write one of the values that the message lists"),
    "value.out-of-range": Code(
        "a number, text or list is too small, too large, too short or too long", "write a value within the limits"
    ),
    "value.placeholder": Code(
        "a fixed text has what stands for a value in another gateway or in a plugin's template (warning)",
        "leave it out: texts of `respond` and `error_pages` are sent as they are, and the plugin headers sets fields",
    ),
    "value.wrong-type": Code(
        "a value is of another kind than expected, such as text where a number is expected",
        "write a value of the expected kind; quotes make text of numbers and of true and false",
    ),
    # names and what is installed
    "certificates.config-invalid": Code(
        "certificates of an extension refuse their configuration",
        "correct the configuration: `gateway schema` has its keys",
    ),
    "certificates.unknown": Code(
        "no installed extension offers certificates of that name", "install the extension, or correct the name"
    ),
    "certificates.unobtainable": Code(
        "certificates of an extension cannot be had for a name (warning)",
        "do what the message says, or leave the name out",
    ),
    "strategy.config-invalid": Code(
        "a strategy of an extension refuses its options", "correct strategy_options: `gateway schema` has their keys"
    ),
    "discovery.config-invalid": Code(
        "a discovery cannot be made with its configuration", "correct the configuration: `gateway schema` has its keys"
    ),
    "discovery.not-installed": Code(
        "a discovery is neither built in nor installed", "install the extension, or correct the name"
    ),
    "listener.unknown": Code(
        "a route names a listener that there is not", "name a listener of `listen`, or give that one a name"
    ),
    "name.duplicate": Code("a name, id or host that must be unique is given twice", "give one of them another name"),
    "plugin.check-failed": Code(
        "a plugin's own code failed on its configuration", "report it to the author of the plugin"
    ),
    "plugin.config-failed": Code("a plugin could not read its configuration", "report it to the author of the plugin"),
    "plugin.distribution-broken": Code(
        "an installed distribution cannot be read (warning)", "install the distribution again, or remove its directory"
    ),
    "plugin.not-as-locked": Code(
        "a plugin is not as `gateway plugins lock` recorded it",
        "install what was locked, or lock what is installed: `gateway plugins lock`",
    ),
    "plugin.not-installed": Code(
        "a binding names a plugin that is not installed",
        "install the plugin, or correct its name: `gateway plugins list`",
    ),
    "plugin.not-loadable": Code(
        "a plugin is installed and does not load", "install a version that fits, or see what its import misses"
    ),
    "plugin.schema-broken": Code("the JSON Schema of a plugin is not valid", "report it to the author of the plugin"),
    "plugin.start-failed": Code(
        "a plugin did not start, or not in time", "see what the plugin connects to and reads when it starts"
    ),
    "strategy.not-installed": Code(
        "a strategy is neither built in nor installed", "install the extension, or correct the name"
    ),
    "grpc.http1": Code(
        "a route for gRPC has a target that speaks HTTP/1, which cannot carry its trailers",
        "name an upstream that has `protocol: http2`",
    ),
    "upstream.unknown": Code(
        "a target is neither an upstream's name nor a URL", "add the upstream, correct the name, or write a URL"
    ),
    # settings
    "tracing.unusable": Code(
        "spans cannot be exported as `tracing.otlp` says: a library is not installed, or a file cannot be used",
        "install `gateway-core[otlp]` or write `protocol: http/json`; correct the file",
    ),
    "admin.exposed": Code(
        "the admin listener can be reached from other machines (warning)", "listen on 127.0.0.1 or on a unix socket"
    ),
    "listen.disagree": Code(
        "listeners that share an address differ in what they have in common there",
        "write the same on both, or give one of them another address",
    ),
    "listen.owner-unknown": Code(
        "the owner of a unix socket is not known on this machine (not with `--offline`)",
        "create the user or group, or give its number",
    ),
    "listen.unavailable": Code(
        "an address cannot be listened on; `check` does not see which ports are taken by other programs",
        "stop what listens there, or write another address",
    ),
    "listen.overlap": Code(
        "two listeners, or a listener and the admin listener, take the same address or hosts",
        "give one of them another address, or other hosts",
    ),
    "setting.no-effect": Code(
        "a setting changes nothing because of what stands beside it (warning)",
        "remove the setting, or change what takes its effect",
    ),
    "trust.too-wide": Code(
        "a network in trusted_proxies is wider than one operator's (warning)", "name the networks of your own proxies"
    ),
    # bindings
    "binding.set-in-set": Code("a set of plugins uses another one", "list the bindings themselves"),
    "binding.set-unknown": Code("`use` names no set of plugins", "write the set under `plugin_sets`, or another name"),
    "binding.fails-open": Code(
        "a binding that decides who may pass lets every request pass when it fails (warning)",
        "write `on_error: deny` and `on_timeout: deny`",
    ),
    "binding.nothing-to-switch-off": Code(
        "a route switches off a binding that it does not inherit", "remove the binding, or correct its id"
    ),
    "binding.only-in-shadow": Code(
        "all that would protect a route is in shadow mode (warning)",
        "write `mode: enforce` once its decisions are right",
    ),
    "binding.order-not-here": Code("`order` stands on a binding that is not gateway-wide", "remove `order`"),
    "binding.passed-by": Code(
        "a binding that decides who may pass stands behind one that responds without asking it, such as a cache",
        "move it before that one",
    ),
    "binding.order": Code(
        "a binding stands before what it needs, or on the wrong side of another one",
        "move the binding behind the one that provides what it needs",
    ),
    "binding.replaces": Code(
        "a route's binding replaces a gateway-wide one whose id it has by default, or its list what `route_defaults` "
        "protect routes with (warning)",
        "write `id` to say that it is meant, or another id for both to run; list what is to protect the route",
    ),
    "binding.unreachable": Code(
        "a binding is never called where it stands", "move the binding to where its hooks are called"
    ),
    "param.unknown": Code(
        "a plugin reads a path parameter that the route does not capture (a warning for gateway-wide bindings, if no "
        "route does)",
        "correct the name, or capture it: `/users/:id` in a path, `:tenant.example.com` in `hosts`",
    ),
    # trusted peers
    "trust.every-address": Code(
        "a network in `trusted_proxies` contains every address (warning)", "name only the networks of the proxies"
    ),
    "trust.no-effect": Code(
        "a setting of trusted peers counts for no listener (warning)",
        "give the proxies in `trusted_proxies`, or remove the setting",
    ),
    # regular expressions
    "regex.not-linear": Code(
        "a regular expression is not linear: longer texts of clients are refused (warning)",
        "write it without what the message names, or install gateway-core[re2]",
    ),
    "regex.slow": Code(
        "a regular expression is too slow for texts of any useful length",
        "write it so that no two repetitions can take the same characters",
    ),
    # routes
    "route.condition-invalid": Code(
        "a condition of a route cannot be evaluated",
        "correct the condition: one form each, and a regular expression that compiles",
    ),
    "route.encoded-slash-kept": Code(
        "a route keeps encoded slashes beside a protected one at the same target (warning)",
        "bind the same plugins, or write `path_policy: {encoded_slash: reject}`",
    ),
    "route.host-invalid": Code(
        "a host cannot be matched", "write a host name, `*.` before one, or `:name.` before one"
    ),
    "route.invalid": Code("a route cannot be compiled", "correct the route"),
    "route.path-invalid": Code(
        "a path, prefix or regular expression cannot be matched", "correct the path: docs/paths.md has the forms"
    ),
    "route.protection-bypassed": Code(
        "a request can reach what a route protects by another route, without it (warning)",
        "bind the same plugins to the other route, or take these requests with a route that has them",
    ),
    "route.redirect-loop": Code(
        "a redirect leads to a location that its own route takes",
        "give the route conditions that the new location does not meet, or redirect to another one",
    ),
    "route.redirect-passed-by": Code(
        "a redirect to HTTPS beside a more specific route, whose requests are served over HTTP (warning)",
        "give the redirect a higher `priority`, or write `https_redirect: true` on the listener; `scheme: http` on the "
        "other route says that it is meant",
    ),
    "route.rewrite-invalid": Code(
        "a rewrite or redirect cannot be carried out",
        "correct it: docs/rewriting.md has the forms",
    ),
    "route.unreachable": Code("a route can never match", "remove the route, or change its conditions or priority"),
    # what the machine says
    "tls.certificate-expired": Code(
        "a certificate of a listener has expired, so that clients refuse it", "renew the certificate"
    ),
    "tls.revocation-expired": Code(
        "a revocation list has expired, so that every client is refused", "fetch a new revocation list"
    ),
    "tls.unusable": Code(
        "certificates, keys or authorities cannot be used",
        "give PEM files that belong together, and a key without a password",
    ),
    "upstream.unusable": Code("an upstream cannot be opened with its settings", "correct the settings of the upstream"),
}
"""Each code; the source of docs/problems.md and of ``gateway explain``."""


def remedy_of(code: str) -> str:
    """Return what to do about a problem in general; empty for the codes of plugins."""
    found = CODES.get(code)
    return "" if found is None else found.remedy
