"""What the configuration layer needs to know about plugins and extensions; `gateway_core.packages` provides it.

What extensions make by name (discoveries, strategies, certificates) is a class that declares a ``config_model``, as a
plugin does, and is given an instance of it. One without takes no keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, Protocol, TypeAlias

from pydantic import BaseModel, ValidationError

from gateway_core.config.model_errors import explain_model_errors
from gateway_core.config.problems import ConfigFinding, KeyPath, format_path, unknown_key
from gateway_core.config.redaction import is_at_secret, schema_secret_paths
from gateway_core.config.schema_errors import SchemaValidator
from gateway_core.config.suggestions import shown, there_are

HOOK_TIMES: Final = "hook-times"
PLAIN_RESPONSES: Final = "plain-responses"
"""What a plugin `needs` to see what each hook took; the gateway itself provides it."""


CheckBindings: TypeAlias = Callable[[Sequence[tuple[str, Mapping[str, Any]]]], Iterable[tuple[int, ConfigFinding]]]
"""Looks at bindings together; of each it takes the id and the config, and findings have its index."""


@dataclass(frozen=True, slots=True)
class PluginDescription:
    """A plugin that an installed distribution publishes, loaded or not."""

    name: str
    distribution: str
    version: str
    schema: Mapping[str, Any] = field(default_factory=dict)
    """JSON Schema 2020-12 of the plugin's config."""
    is_sound: bool = False
    """Whether the schema itself is known to be valid, so that nobody needs to check it again."""
    load_error: str | None = None
    """Why the plugin cannot be used; ``None`` if it can."""
    is_extension: bool = False
    """Whether it is an extension, which is installed under the name but cannot be bound."""
    default_on_error: Literal["deny", "continue"] = "deny"
    provides: frozenset[str] = frozenset()
    """What later bindings may rely on, such as ``identity``."""
    access_control: bool = False
    """Whether it decides who may pass: `gateway check` warns where such a binding can be passed by."""
    shares_responses: bool = False
    """Whether a response that one request got may be given to another one, past the bindings behind it."""
    encodes_responses: bool = False
    """Whether bindings before it get its responses in a content coding."""
    needs: frozenset[str] = frozenset()
    """What an earlier binding must provide."""
    secret_paths: frozenset[str] = frozenset()
    """Key paths in the config whose values are never shown, such as ``secret`` or ``providers.*.secret``."""
    check: Callable[[Mapping[str, Any]], Iterable[ConfigFinding]] | None = None
    """What the schema cannot say: takes a config that fits it, returns errors and warnings."""
    check_bindings: CheckBindings | None = None
    """What is wrong with several bindings together, each of which is valid alone."""
    checks_repeated_bindings: bool = False
    """Whether that gets two of those that are the same on several routes."""
    needs_of: Callable[[Mapping[str, Any]], Iterable[str]] | None = None
    """What a binding with this config needs, in place of ``needs``."""
    provides_of: Callable[[Mapping[str, Any]], Iterable[str]] | None = None
    """What a binding with this config provides, in place of ``provides``."""
    params_of: Callable[[Mapping[str, Any]], Iterable[tuple[KeyPath, str]]] | None = None
    """The path parameters that a binding with this config reads, each with the key path of the text that names it."""

    @property
    def label(self) -> str:
        """Name and version as they stand behind problems: ``ratelimit 1.0.0``."""
        return f"{self.name} {self.version}".rstrip()


class PluginCatalog(Protocol):
    """The plugins that are installed."""

    def describe(self, name: str) -> PluginDescription | None:
        """Return what is known about a plugin; ``None`` if none of that name is installed."""

    def names(self) -> Sequence[str]:
        """Return the names of all installed plugins, those that cannot be loaded included."""


FIRST_PARTY: Final = frozenset(
    {
        "acme", "aggregate", "auth", "authorize", "cache", "compress", "consul", "cors", "etcd", "fault",
        "forward-auth", "grpc-web", "headers", "ip", "kubernetes", "logger", "mock", "oidc", "ratelimit", "static",
        "transform", "upstream-auth", "validate",
    }
)  # fmt: skip
"""Plugins and extensions of this repository, each in the distribution ``gateway-plugin-NAME``."""


def install_advice(name: str) -> str:
    """Return the command that installs a plugin, or an empty text.

    Only for plugins of this project: advising it for any name would lead from a typo to a distribution that a stranger
    registered under it.
    """
    return f"pip install gateway-plugin-{name}" if name in FIRST_PARTY else ""


class ConfiguredFactory(Protocol):
    """A class that makes things from a configuration."""

    @property
    def config_model(self) -> type[Any] | None:
        """The pydantic model of its configuration; None takes no keys, and is given an empty mapping."""
        ...


def factory_config(factory: ConfiguredFactory, raw: Mapping[str, Any]) -> Any:
    """Return what a factory is given for a configuration.

    :raises ValueError: its model refuses the configuration; the text names keys, and shows no secret.
    """
    findings, config = _read(factory, raw)
    if findings:
        texts = (f"{format_path(each.path)}: {each.text}" if each.path else each.text for each in findings)
        raise ValueError("; ".join(texts))
    return config


def factory_findings(factory: ConfiguredFactory, raw: Mapping[str, Any]) -> Sequence[ConfigFinding]:
    """Return what is wrong with the configuration of a factory: by the schema of its model, then by the model."""
    model = factory_model(factory)
    if model is None:
        return _read(factory, raw)[0]
    validator = SchemaValidator(model.model_json_schema(), is_sound=True)
    return validator.problems(raw) or _read(factory, raw)[0]


def option_findings(factory: ConfiguredFactory, options: Mapping[str, str]) -> Sequence[ConfigFinding]:
    """Return what is wrong with the options in a URL, which are all text, for the model of a factory."""
    model = factory_model(factory)
    known = there_are([] if model is None else model.model_fields)
    return [
        replace(each, message=each.message.replace("unknown key", "unknown option"), remedy=each.remedy or known)
        if each.is_key or not each.path
        else replace(each, message=f"option {format_path(each.path)}: {each.message}")
        for each in _read(factory, options)[0]
    ]


def factory_model(factory: ConfiguredFactory) -> type[BaseModel] | None:
    """Return the model of a factory's configuration; None if it takes no keys."""
    model: type[BaseModel] | None = getattr(factory, "config_model", None)
    return model


def _read(factory: ConfiguredFactory, raw: Mapping[str, Any]) -> tuple[Sequence[ConfigFinding], Any]:
    model = factory_model(factory)
    if model is None:
        return [unknown_key((key,), "it takes no keys, so leave it out") for key in raw], {}
    try:
        return (), model.model_validate(raw)
    except ValidationError as error:
        return list(explain_model_errors(model, error, _show_for(model))), None


def _show_for(model: type[BaseModel]) -> Any:
    patterns = [tuple(path.split(".")) for path in schema_secret_paths(model.model_json_schema())]

    def show(path: KeyPath, value: object) -> str:
        hidden = is_at_secret(patterns, tuple(str(part) for part in path))
        # A mapping may hold a secret further down, so only plain values are shown.
        return "the value" if hidden or isinstance(value, Mapping | list) else shown(value)

    return show
