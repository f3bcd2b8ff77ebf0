"""The version, where everyone can import it without the package's other names."""

__version__ = "0.1.0"
