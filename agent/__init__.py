"""PV Edge Agent: keeps a home battery's export inside its allowance, and its bridges well."""

__version__ = "0.1.0"
