"""The codes of problems: stable names for programs, documented in docs/problems.md, which is made from this table.

A code is never given another meaning. What plugins find themselves has codes of theirs, ``PLUGIN.what``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

CODE: Final = re.compile(r"[a-z][a-z0-9-]*(\.[a-z0-9-]+)*")
"""What a code looks like."""

CODES: Final[Mapping[str, str]] = {
    # documents and files
    "document.alias": "an alias (`*name`) contains itself, or aliases expand to too many values",
    "document.conflict": "two documents give one key different values",
    "document.empty": "a document has no content",
    "document.merge": "`<<` merges something that is no mapping",
    "document.none": "a directory or source holds no configuration documents",
    "document.not-a-mapping": "a document is a list or a single value, where a mapping is expected",
    "document.syntax": "a document is not valid YAML, JSON or TOML",
    "document.tag": "a value has a YAML tag that is not supported",
    "file.missing": "a file that is named does not exist",
    "file.not-allowed": "a document that is not of this machine names a file",
    "file.not-a-file": "a directory is named where a file is expected",
    "file.not-utf8": "a file is not UTF-8 text",
    "file.too-large": "a file is larger than what is read",
    "file.unreadable": "a file exists and could not be read",
    "include.cycle": "a file includes itself",
    "include.not-allowed": "a document that is no file includes others",
    "source.invalid": "the URL of a source cannot be used",
    "source.key-ignored": "a document of a source sets `admin` or `sources` (warning)",
    "source.not-asked": "a source was not asked, because of `--offline` (warning)",
    "source.unavailable": "a source did not respond",
    "substitution.not-allowed": "a document of a source uses the environment or a file, and its source may not",
    "substitution.syntax": "`${...}` is not one of the known forms",
    "substitution.unset": "a variable is not set in the environment and has no default",
    # keys and values
    "key.duplicate": "a key is given twice in one mapping",
    "key.invalid": "a key is not one that fits there",
    "key.missing": "a required key is missing",
    "key.unknown": "a key is not known there",
    "value.inconsistent": "keys of one section exclude each other, or need each other",
    "value.invalid": "a value does not read as what it should be",
    "value.not-allowed": "a value is not one of those allowed",
    "value.out-of-range": "a number, text or list is too small, too large, too short or too long",
    "value.wrong-type": "a value is of another kind than expected, such as text where a number is expected",
    # names and what is installed
    "certificates.config-invalid": "certificates of an extension refuse their configuration",
    "certificates.unknown": "no installed extension offers certificates of that name",
    "strategy.config-invalid": "a strategy of an extension refuses its options",
    "discovery.config-invalid": "a discovery cannot be made with its configuration",
    "discovery.not-installed": "a discovery is neither built in nor installed",
    "listener.unknown": "a route names a listener that there is not",
    "name.duplicate": "a name, id or host that must be unique is given twice",
    "plugin.check-failed": "a plugin's own code failed on its configuration",
    "plugin.config-failed": "a plugin could not read its configuration",
    "plugin.distribution-broken": "an installed distribution cannot be read (warning)",
    "plugin.not-as-locked": "a plugin is not as `gateway plugins lock` recorded it",
    "plugin.not-installed": "a binding names a plugin that is not installed",
    "plugin.not-loadable": "a plugin is installed and does not load",
    "plugin.schema-broken": "the JSON Schema of a plugin is not valid",
    "plugin.start-failed": "a plugin did not start, or not in time",
    "strategy.not-installed": "a strategy is neither built in nor installed",
    "upstream.unknown": "a target is neither an upstream's name nor a URL",
    # settings
    "admin.exposed": "the admin listener can be reached from other machines (warning)",
    "listen.disagree": "listeners that share an address differ in what they have in common there",
    "listen.owner-unknown": "the owner of a unix socket is not known on this machine (not with `--offline`)",
    "listen.unavailable": "an address cannot be listened on; `check` finds only what is in the way of a unix socket",
    "listen.overlap": "two listeners, or a listener and the admin listener, take the same address or hosts",
    "setting.no-effect": "a setting changes nothing because of what stands beside it (warning)",
    "trust.too-wide": "a network in trusted_proxies is wider than one operator's (warning)",
    # bindings
    "binding.fails-open": "a binding that decides who may pass lets every request pass when it fails (warning)",
    "binding.nothing-to-switch-off": "a route switches off a binding that it does not inherit",
    "binding.only-in-shadow": "all that would protect a route is in shadow mode (warning)",
    "binding.order-not-here": "`order` stands on a binding that is not gateway-wide",
    "binding.order": "a binding stands before what it needs, or on the wrong side of another one",
    "binding.replaces": "a route's binding replaces a gateway-wide one whose id it has by default (warning)",
    "binding.unreachable": "a binding is never called where it stands",
    # trusted peers
    "trust.every-address": "a network in `trusted_proxies` contains every address (warning)",
    "trust.no-effect": "a setting of trusted peers counts for no listener (warning)",
    # regular expressions
    "regex.not-linear": "a regular expression is not linear: longer texts of clients are refused (warning)",
    "regex.slow": "a regular expression is too slow for texts of any useful length",
    # routes
    "route.condition-invalid": "a header or query condition cannot be evaluated",
    "route.encoded-slash-kept": "a route keeps encoded slashes beside a protected one at the same target (warning)",
    "route.host-invalid": "a host cannot be matched",
    "route.invalid": "a route cannot be compiled",
    "route.path-invalid": "a path, prefix or regular expression cannot be matched",
    "route.protection-bypassed": "a request can reach what a route protects by another route, without it (warning)",
    "route.rewrite-invalid": "a rewrite or redirect cannot be carried out",
    "route.unreachable": "a route can never match",
    # what the machine says
    "tls.revocation-expired": "a revocation list has expired, so that every client is refused",
    "tls.unusable": "certificates, keys or authorities cannot be used",
    "upstream.unusable": "an upstream cannot be opened with its settings",
}
"""What each code means. One line each, for the table in docs/problems.md."""
