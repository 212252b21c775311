"""Plugin packages: found, loaded, digested, locked, watched.

What is installed can be listed without importing a plugin; what it takes to run one is imported when it is needed.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from gateway_core.packages.installed import BrokenDistribution, Published, installed_plugins, published_plugins
from gateway_core.packages.registry import PluginInfo, PluginRegistry, PluginUnavailableError, ScanReport

if TYPE_CHECKING:
    from gateway_core.packages.chain_builder import ChainBuilder
    from gateway_core.packages.environment import EnvironmentChange, EnvironmentWatch
    from gateway_core.packages.extensions import ExtensionProblem, Extensions
    from gateway_core.packages.instances import Bindings, Instance, InstanceLeases

__all__ = [
    "Bindings",
    "BrokenDistribution",
    "ChainBuilder",
    "EnvironmentChange",
    "EnvironmentWatch",
    "ExtensionProblem",
    "Extensions",
    "Instance",
    "InstanceLeases",
    "PluginInfo",
    "PluginRegistry",
    "PluginUnavailableError",
    "Published",
    "ScanReport",
    "installed_plugins",
    "published_plugins",
]

_MODULES: Final = {
    **dict.fromkeys(("Bindings", "Instance", "InstanceLeases"), "instances"),
    **dict.fromkeys(("EnvironmentChange", "EnvironmentWatch"), "environment"),
    **dict.fromkeys(("ExtensionProblem", "Extensions"), "extensions"),
    "ChainBuilder": "chain_builder",
}


def __getattr__(name: str) -> Any:
    """Import what runs plugins."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
