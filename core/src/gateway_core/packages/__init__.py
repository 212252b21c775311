"""Plugin packages: found, loaded, digested, locked, watched."""

from gateway_core.packages.chain_builder import ChainBuilder, unreachable_bindings
from gateway_core.packages.environment import EnvironmentChange, EnvironmentWatch
from gateway_core.packages.extensions import ExtensionProblem, Extensions
from gateway_core.packages.installed import BrokenDistribution, Published, installed_plugins, published_plugins
from gateway_core.packages.instances import Bindings, Instance, InstanceLeases
from gateway_core.packages.registry import PluginInfo, PluginRegistry, PluginUnavailableError, ScanReport

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
    "unreachable_bindings",
]
