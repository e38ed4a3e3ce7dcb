"""The version, where everything that records it can ask without importing the public names."""

__version__ = "0.1.0"
