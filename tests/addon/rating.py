"""
The Supervisor's security rating of an app, from 1 to 8.

A table of points over the keys of `config.yaml`; source: ha_platform.md section 2.4, which was
read in and run against the Supervisor of August 2026.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

RISKY = {
    "BPF", "CHECKPOINT_RESTORE", "DAC_READ_SEARCH", "NET_ADMIN", "NET_RAW", "PERFMON", "SYS_ADMIN",
    "SYS_MODULE", "SYS_PTRACE", "SYS_RAWIO",
}  # fmt: skip


def rating(app: Mapping[str, Any], *, own_profile: bool) -> int:
    """
    Return the rating after installation.

    Args:
        app: `config.yaml`.
        own_profile: an `apparmor.txt` lies beside it.
    """
    if app.get("docker_api") or app.get("full_access"):
        return 1
    privileged = set(app.get("privileged", ()))
    points = {
        2: [app.get("ingress")],
        1: [app.get("auth_api") and not app.get("ingress"), own_profile and app.get("apparmor", 1)],
        -1: [
            app.get("apparmor") is False,
            privileged & RISKY or app.get("kernel_modules"),
            app.get("hassio_role") == "manager",
            app.get("host_network"),
            app.get("host_uts") and "SYS_ADMIN" in privileged,
        ],
        -2: [app.get("hassio_role") == "admin", app.get("host_pid")],
    }
    total = 5 + sum(each * bool(reason) for each, reasons in points.items() for reason in reasons)
    return max(1, min(8, total))
