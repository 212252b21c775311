"""Fixtures for the tests of a plugin; filled in by the test kit."""
