"""gRPC-Web for the gateway."""

from gateway_plugin_grpc_web.plugin import GrpcWeb

__version__ = "0.1.0"

__all__ = ["GrpcWeb"]
