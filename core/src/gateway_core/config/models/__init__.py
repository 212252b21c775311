"""Configuration models, one module for each part of the document."""
