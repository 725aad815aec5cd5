"""Types of command-line arguments that several scripts take; argparse turns errors into usage."""

import argparse
import json
import math
from typing import Any

from scripts.recording import MAX_WIRE_RATE_HZ, MIN_WIRE_RATE_HZ


def wire_rate(text: str) -> int:
    """A sample rate in Hz that the protocol accepts."""
    rate_hz = int(text)
    if not MIN_WIRE_RATE_HZ <= rate_hz <= MAX_WIRE_RATE_HZ:
        raise argparse.ArgumentTypeError(
            f"{rate_hz} is not between {MIN_WIRE_RATE_HZ} and {MAX_WIRE_RATE_HZ} Hz"
        )
    return rate_hz


def positive(text: str) -> int:
    """A count of at least one."""
    if (value := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{value} is not at least 1")
    return value


def speed(text: str) -> float:
    """A multiple of real time; 0 does not wait."""
    value = float(text)
    if not (math.isfinite(value) and value >= 0):
        raise argparse.ArgumentTypeError(f"{text} is not 0 or more")
    return value


def above_zero(text: str) -> float:
    """A number above 0."""
    if not (value := speed(text)):
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def json_object(text: str) -> dict[str, Any]:
    """A JSON object."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"no JSON: {error}") from error
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"not a JSON object: {text}")
    return value


def json_groups(text: str) -> dict[str, dict[str, Any]]:
    """A JSON object of JSON objects, as metadata is."""
    groups = json_object(text)
    if strays := [name for name, fields in groups.items() if not isinstance(fields, dict)]:
        raise argparse.ArgumentTypeError(f"{strays[0]} is not a group of fields")
    return groups
