"""
Starts Home Assistant Core for a test: silent towards the network, gone when the test is gone.

Runs under Core's own interpreter, with the arguments of `hass`. Its standard input is a pipe
from the test; when that ends, the test is dead and Core follows at once. What it changes in Core:

- 2025.2 and later open zeroconf on every interface for their DNS resolver, configured or not:
  here it stays on loopback.
- 2026.x always loads `marketplace`, which fetches a catalogue from the internet: left out.
- Voice requirements without a wheel for the newest Python get an empty stand-in. Without them
  `assist_satellite` fails, with it `get_services`, and with that the whole frontend.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import sys
import threading
import types

NOT_LOADED = {"marketplace"}
EMPTY_MODULES = {"pymicro_vad": "MicroVad", "pyspeex_noise": "AudioProcessor"}


def follow_the_test() -> None:
    """Die with the process at the other end of standard input."""
    with contextlib.suppress(OSError):
        while os.read(0, 64):
            pass
    os.kill(os.getpid(), signal.SIGKILL)


def quieten() -> None:
    """Keep Core from the network and from modules that this machine cannot have."""
    for name, attribute in EMPTY_MODULES.items():
        if importlib.util.find_spec(name) is None:
            module = types.ModuleType(name)
            setattr(module, attribute, type(attribute, (), {}))
            sys.modules[name] = module

    from homeassistant import bootstrap  # noqa: PLC0415

    for name in ("DEFAULT_INTEGRATIONS", "FRONTEND_INTEGRATIONS", "DISCOVERY_INTEGRATIONS"):
        always_loaded = getattr(bootstrap, name, None)
        if isinstance(always_loaded, set):
            always_loaded -= NOT_LOADED

    with contextlib.suppress(ImportError):  # a Core without zeroconf is quiet already
        from homeassistant.components import zeroconf as core_zeroconf  # noqa: PLC0415
        from zeroconf import IPVersion  # noqa: PLC0415

        if hasattr(core_zeroconf, "_async_get_zc_args"):
            loopback = {"interfaces": ["127.0.0.1"], "ip_version": IPVersion.V4Only}
            if "CORE_HEARS_ANNOUNCEMENTS" not in os.environ:
                loopback["unicast"] = True  # else a socket on every address, if only to receive
            core_zeroconf._async_get_zc_args = lambda _hass: loopback


if __name__ == "__main__":
    threading.Thread(target=follow_the_test, daemon=True).start()
    quieten()
    from homeassistant.__main__ import main

    sys.argv[0] = "hass"
    sys.exit(main())
