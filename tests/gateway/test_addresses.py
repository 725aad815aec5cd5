"""A client's address behind proxies, and what counts as one client."""

import pytest

from gateway.addresses import client_address, household

PROXY, CLIENT, FORGED = "10.0.0.1", "203.0.113.7", "198.51.100.9"


@pytest.mark.parametrize(
    ("forwarded", "proxies", "address"),
    [
        ([], 0, PROXY),
        ([CLIENT], 0, PROXY),
        ([], 1, PROXY),
        ([CLIENT], 1, CLIENT),
        ([f"{FORGED}, {CLIENT}"], 1, CLIENT),
        ([FORGED, CLIENT], 1, CLIENT),
        ([FORGED, f"{CLIENT},10.0.0.2"], 2, CLIENT),
        ([CLIENT], 2, PROXY),
        ([f"{CLIENT}:50123"], 1, CLIENT),
        (["[2001:db8::1]:50123"], 1, "2001:db8::1"),
        (["2001:db8::1"], 1, "2001:db8::1"),
        (["::ffff:203.0.113.7"], 1, CLIENT),
        (["unknown"], 1, PROXY),
        ([""], 1, PROXY),
        ([f"{CLIENT}, _hidden"], 1, PROXY),
    ],
)
def test_a_clients_address_is_what_the_outermost_proxy_has_seen(
    forwarded: list[str], proxies: int, address: str
) -> None:
    assert client_address(PROXY, forwarded, proxies) == address


@pytest.mark.parametrize(
    ("one", "other", "are_one"),
    [
        ("203.0.113.7", "203.0.113.7", True),
        ("203.0.113.7", "203.0.113.8", False),
        ("203.0.113.7", "::ffff:203.0.113.7", True),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        (None, "203.0.113.7", False),
    ],
)
def test_who_is_counted_as_one(one: str | None, other: str, are_one: bool) -> None:
    assert (household(one) == household(other)) == are_one
