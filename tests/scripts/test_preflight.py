"""What the machine lacks is one line that says what to do."""

import socket

import pytest

from scripts import preflight
from scripts.preflight import Port, PreflightError


@pytest.mark.parametrize("version", [(3, 10), (3, 13), (4, 0)])
def test_another_python_is_refused(version: tuple[int, int]) -> None:
    with pytest.raises(PreflightError, match=r"Python 3\.11 or 3\.12 is needed"):
        preflight.check_python_version(version)


@pytest.mark.parametrize("version", [(3, 11), (3, 12)])
def test_both_pythons_pass(version: tuple[int, int]) -> None:
    preflight.check_python_version(version)


def test_this_python_has_its_library() -> None:
    preflight.check_python_library()


def test_a_missing_library_names_file_and_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "python_library", lambda: "libpython3.0.so.1.0")
    with pytest.raises(PreflightError) as raised:
        preflight.check_python_library()
    message = str(raised.value)
    assert "libpython3.0.so.1.0 is missing" in message
    assert "sudo apt-get install libpython3.1" in message
    assert "\n" not in message


@pytest.mark.parametrize("text", ["", "0", "65536", "-1", "8001x"])
def test_a_port_that_is_none_is_named_with_its_setting(text: str) -> None:
    with pytest.raises(PreflightError, match=f"PORT='{text}' .* an integer from 1 to 65535"):
        preflight.port_setting({"PORT": text}, "PORT", 8001)


def test_a_port_that_is_not_set_is_the_default() -> None:
    assert preflight.port_setting({"PORT": "9"}, "PORT", 8001) == 9
    assert preflight.port_setting({}, "PORT", 8001) == 8001


def test_a_port_in_use_names_port_owner_and_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        with pytest.raises(PreflightError) as raised:
            preflight.check_ports([Port("127.0.0.1", number, "the gateway", "GATEWAY_PORT")])
    message = str(raised.value)
    assert f"port {number} on 127.0.0.1 is in use" in message
    assert "the gateway" in message
    assert "GATEWAY_PORT" in message
    assert "\n" not in message


def test_a_host_of_another_machine_is_named() -> None:
    with pytest.raises(PreflightError, match=r"192\.0\.2\.1 cannot be used"):
        preflight.check_ports([Port("192.0.2.1", 1234, "Triton", "GATEWAY_TRITON")])


def test_a_free_port_passes() -> None:
    preflight.check_ports([Port("127.0.0.1", preflight.free_port(), "Triton", "GATEWAY_TRITON")])


def test_the_check_of_the_installation_is_silent_when_all_is_well(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert preflight.main() == 0
    assert capsys.readouterr() == ("", "")


def test_the_check_of_the_installation_fails_with_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(preflight, "python_library", lambda: "libpython3.0.so.1.0")
    assert preflight.main() == 1
    assert capsys.readouterr().err.count("\n") == 1
