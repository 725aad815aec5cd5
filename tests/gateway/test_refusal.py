"""What a request is told that gets no websocket."""

import pytest

from gateway.refusal import RETRY_AFTER_S, RefusalType, refuse


@pytest.mark.parametrize("kind", RefusalType)
def test_every_refusal_has_its_type_and_its_reason_in_both_places(kind: RefusalType) -> None:
    refusal = refuse(kind, "why")
    assert refusal.status == kind.status
    assert refusal.body["type"] == kind.wire_name
    assert refusal.body["error"] == refusal.body["body"]["message"] == "why"


@pytest.mark.parametrize("kind", RefusalType)
def test_only_what_may_soon_be_over_says_when_to_come_again(kind: RefusalType) -> None:
    refusal = refuse(kind, "why")
    assert ("retry_after_s" in refusal.body) is (kind.status == 503)
    assert refusal.headers.get("Retry-After", "None") == str(refusal.body.get("retry_after_s"))


def test_those_refused_together_do_not_come_back_together() -> None:
    told = [refuse(RefusalType.OVERLOADED, "why").body["retry_after_s"] for _ in range(200)]
    assert set(told) == set(RETRY_AFTER_S)
