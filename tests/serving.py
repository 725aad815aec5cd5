"""Servers for tests: an environment with free ports."""

import os
from collections.abc import Mapping

from scripts.preflight import free_port

SETTINGS = ("GATEWAY_", "TRITON_METRICS_PORT", "WHISPER_MODEL")


def serving_environment(overrides: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment with the defaults of all settings, but free ports."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(SETTINGS)}
    return {
        **inherited,
        "GATEWAY_PORT": str(free_port()),
        "GATEWAY_TRITON": f"127.0.0.1:{free_port()}",
        "TRITON_METRICS_PORT": str(free_port()),
        **(overrides or {}),
    }
