"""Settings from the environment."""

from pathlib import Path

import pytest

from gateway.hops import hop_ms_for, hop_size
from gateway.settings import Settings, SettingsError, unknown_variables
from gateway.ticks import Portion


def test_nothing_set_gives_the_defaults() -> None:
    assert Settings.from_environment({"PATH": "/bin"}) == Settings()


def test_every_setting_is_read() -> None:
    settings = Settings.from_environment(
        {
            "GATEWAY_HOST": "0.0.0.0",
            "GATEWAY_PORT": "9000",
            "GATEWAY_TRITON": "triton:8001",
            "GATEWAY_PUBLISHED_HOST": "captions.example",
            "GATEWAY_API_KEYS": "one, two",
            "GATEWAY_API_KEYS_FILE": "/run/keys",
            "GATEWAY_ALLOW_ANONYMOUS": "true",
            "GATEWAY_ALLOWED_ORIGINS": "https://One.example/, null",
            "GATEWAY_TLS_CERTIFICATE": "/run/tls.pem",
            "GATEWAY_TLS_KEY": "/run/tls.key",
            "GATEWAY_PARTIAL_INTERVAL_S": "1",
            "GATEWAY_MIN_PARTIAL_INTERVAL_S": "0.25",
            "GATEWAY_MAX_STREAMS": "3",
            "GATEWAY_MAX_STREAMS_PER_ADDRESS": "2",
            "GATEWAY_PROXIES": "1",
            "GATEWAY_BURST_STREAMS": "2",
            "GATEWAY_DRAIN_S": "0",
            "GATEWAY_MAX_PARTIAL_DELAY_S": "1.25",
            "GATEWAY_MAX_FINAL_DELAY_S": "0.75",
            "GATEWAY_HOP_MS": "256",
            "GATEWAY_MAX_MESSAGE_BYTES": "65536",
            "GATEWAY_METADATA_TIMEOUT_S": "1.5",
            "GATEWAY_IDLE_TIMEOUT_S": "60",
            "GATEWAY_IDLE_FLUSH_S": "2",
            "GATEWAY_SEND_TIMEOUT_S": "3",
            "GATEWAY_ANSWER_TIMEOUT_S": "4",
            "GATEWAY_MAX_AUDIO_IN_FLIGHT_S": "5",
            "GATEWAY_PING_S": "6",
            "GATEWAY_METRICS_HOST": "10.0.0.1",
            "GATEWAY_METRICS_PORT": "0",
            "GATEWAY_LOG_FORMAT": "json",
            "GATEWAY_OTLP_ENDPOINT": "https://collector/v1/traces",
            "GATEWAY_MAX_FILE_BYTES": "2048",
            "GATEWAY_MODELS": "whisper-1, large",
        }
    )
    assert settings == Settings(
        host="0.0.0.0",
        port=9000,
        triton="triton:8001",
        published_host="captions.example",
        api_keys=("one", "two"),
        api_keys_file=Path("/run/keys"),
        allow_anonymous=True,
        allowed_origins=("https://one.example", "null"),
        tls_certificate=Path("/run/tls.pem"),
        tls_key=Path("/run/tls.key"),
        partial_interval_s=1,
        min_partial_interval_s=0.25,
        max_streams=3,
        max_streams_per_address=2,
        proxies=1,
        burst_streams=2,
        drain_s=0,
        max_partial_delay_s=1.25,
        max_final_delay_s=0.75,
        hop_ms=256,
        max_message_bytes=65536,
        metadata_timeout_s=1.5,
        idle_timeout_s=60,
        idle_flush_s=2,
        send_timeout_s=3,
        answer_timeout_s=4,
        max_audio_in_flight_s=5,
        ping_s=6,
        metrics_host="10.0.0.1",
        metrics_port=0,
        log_format="json",
        otlp_endpoint="https://collector/v1/traces",
        max_file_bytes=2048,
        models=("whisper-1", "large"),
    )
    assert settings.hop_size(streams=1, is_ahead=False) == Portion(4096, 4096)
    assert settings.hop_size(streams=99, is_ahead=True) == Portion(4096, 4096)


@pytest.mark.parametrize(
    ("variable", "value", "accepted"),
    [
        ("GATEWAY_HOST", " ", "a host name"),
        ("GATEWAY_PORT", "http", "an integer from 0 to 65535"),
        ("GATEWAY_PORT", "70000", "an integer from 0 to 65535"),
        ("GATEWAY_TRITON", "triton", "HOST:PORT"),
        ("GATEWAY_TRITON", "grpc://triton:8001", "HOST:PORT"),
        ("GATEWAY_PARTIAL_INTERVAL_S", "31", "a number from 0.1 to 30"),
        ("GATEWAY_MIN_PARTIAL_INTERVAL_S", "nan", "a number from 0.1 to 30"),
        ("GATEWAY_MAX_STREAMS", "0", "an integer from 1"),
        ("GATEWAY_BURST_STREAMS", "0", "an integer from 1"),
        ("GATEWAY_MAX_STREAMS_PER_ADDRESS", "-1", "an integer from 0"),
        ("GATEWAY_PROXIES", "10.0.0.1", "an integer from 0 to 16"),
        ("GATEWAY_DRAIN_S", "-1", "a number from 0"),
        ("GATEWAY_DRAIN_S", "nan", "a number from 0"),
        ("GATEWAY_ALLOW_ANONYMOUS", "yes", "true or false"),
        ("GATEWAY_ALLOWED_ORIGINS", "captions.example", "origins such as https://"),
        ("GATEWAY_ALLOWED_ORIGINS", "https://a.example/page", "origins such as https://"),
        ("GATEWAY_HOP_MS", "100", "auto or a multiple of 32 from 32 to 1984"),
        ("GATEWAY_HOP_MS", "automatic", "auto or a multiple"),
        ("GATEWAY_MAX_FINAL_DELAY_S", "0", "a number above 0"),
        ("GATEWAY_HOP_MS", "0", "a multiple of 32"),
        ("GATEWAY_HOP_MS", "2016", "a multiple of 32"),
        ("GATEWAY_MAX_MESSAGE_BYTES", "8MB", "an integer"),
        ("GATEWAY_IDLE_FLUSH_S", "nan", "a number above 0"),
        ("GATEWAY_SEND_TIMEOUT_S", "-1", "a number above 0"),
        ("GATEWAY_PING_S", "0", "a number above 0"),
        ("GATEWAY_METRICS_PORT", "-1", "an integer from 0"),
        ("GATEWAY_LOG_FORMAT", "JSON", "text or json"),
        ("GATEWAY_OTLP_ENDPOINT", "collector:4317", "a URL such as http"),
        ("GATEWAY_MAX_FILE_BYTES", "1GB", "an integer from 1024"),
        ("GATEWAY_MODELS", "whisper-1,,", "names with commas between them"),
    ],
)
def test_a_bad_value_is_named_in_one_line(variable: str, value: str, accepted: str) -> None:
    with pytest.raises(SettingsError) as raised:
        Settings.from_environment({variable: value})
    text = str(raised.value)
    assert "\n" not in text
    assert text.startswith(f"{variable}={value!r}")
    assert accepted in text


@pytest.mark.parametrize("environment", [{}, {"GATEWAY_HOP_MS": "auto"}])
def test_hops_follow_the_load_unless_their_size_is_set(environment: dict[str, str]) -> None:
    settings = Settings.from_environment(environment)
    for streams, is_ahead in [(1, False), (20, False), (1, True)]:
        expected = hop_size(hop_ms_for(streams, is_ahead), streams, is_ahead)
        assert settings.hop_size(streams, is_ahead) == expected


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "[::1]", "127.8.8.8", "localhost"])
def test_without_keys_it_may_listen_to_this_machine(host: str) -> None:
    assert Settings.from_environment({"GATEWAY_HOST": host}).host == host


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.1", "captions.example"])
def test_without_keys_it_may_be_reached_by_others_only_if_told_so(host: str) -> None:
    for variable in ("GATEWAY_HOST", "GATEWAY_PUBLISHED_HOST"):
        with pytest.raises(SettingsError, match="and there are no keys"):
            Settings.from_environment({variable: host})
        for has in ("API_KEYS=a", "API_KEYS_FILE=/run/keys", "ALLOW_ANONYMOUS=true"):
            name, _, value = has.partition("=")
            assert Settings.from_environment({variable: host, f"GATEWAY_{name}": value})


def test_the_address_at_which_others_reach_it_is_the_one_that_counts() -> None:
    inside = {"GATEWAY_HOST": "0.0.0.0", "GATEWAY_PUBLISHED_HOST": "127.0.0.1"}
    assert Settings.from_environment(inside).host == "0.0.0.0"


@pytest.mark.parametrize("alone", ["GATEWAY_TLS_CERTIFICATE", "GATEWAY_TLS_KEY"])
def test_a_certificate_and_its_key_need_each_other(alone: str) -> None:
    with pytest.raises(SettingsError, match="need each other"):
        Settings.from_environment({alone: "/run/file"})


def test_keys_are_never_shown() -> None:
    with pytest.raises(SettingsError) as raised:
        Settings.from_environment({"GATEWAY_API_KEYS": "secret,,"})
    assert "secret" not in str(raised.value)
    assert "secret" not in repr(Settings(api_keys=("secret",)))


def test_empty_keys_mean_no_keys() -> None:
    assert Settings.from_environment({"GATEWAY_API_KEYS": ""}).api_keys == ()


def test_a_slip_in_a_name_is_found() -> None:
    assert unknown_variables({"GATEWAY_PORT": "1", "GATEWAY_API_KEY": "x"}) == ["GATEWAY_API_KEY"]
