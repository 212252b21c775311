"""Connections to endpoints and their pools."""
