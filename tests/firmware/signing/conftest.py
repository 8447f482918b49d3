"""Every test of this room gets a repository of its own to break."""

from tests.firmware.signing.desk import folder, template

__all__ = ["folder", "template"]
