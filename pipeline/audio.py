"""Audio constants, each derived from the one before, and conversions between units.

Imports nothing: the endpointing core and the gateway both build on it. Positions are absolute
sample indices at `SAMPLE_RATE`; seconds exist only on the wire.
"""

SAMPLE_RATE = 16_000
"""Hz. The rate of everything behind the gateway: Silero VAD's and Whisper's own."""

SAMPLE_BYTES = 2
"""Bytes of one PCM sample (signed 16 bit, little endian, mono)."""

VAD_FRAME_SAMPLES = 512
"""Samples of one VAD frame: the only size Silero VAD v5 and later accept at 16 kHz."""
VAD_FRAME_BYTES = VAD_FRAME_SAMPLES * SAMPLE_BYTES
VAD_FRAME_MS = 1000 * VAD_FRAME_SAMPLES // SAMPLE_RATE  # 32
VAD_CONTEXT_SAMPLES = 64
"""Samples of the previous frame that Silero VAD wants in front of each frame."""

MAX_HOP_SAMPLES = 2 * SAMPLE_RATE
"""Longest hop of one request: a hop yields at most one window, so long hops would queue up."""

WHISPER_WINDOW_S = 30
WHISPER_WINDOW_SAMPLES = WHISPER_WINDOW_S * SAMPLE_RATE
"""What Whisper was trained on, and the most one window may hold."""

MEL_FFT_SAMPLES = 400
MEL_HOP_SAMPLES = 160
MEL_FRAMES_PER_S = SAMPLE_RATE // MEL_HOP_SAMPLES  # 100
MAX_MEL_FRAMES = WHISPER_WINDOW_SAMPLES // MEL_HOP_SAMPLES  # 3000
MEL_FRAMES_PER_STATE = 2
"""The encoder's second convolution has stride 2: one state for two mel frames."""
MAX_ENCODER_STATES = MAX_MEL_FRAMES // MEL_FRAMES_PER_STATE  # 1500


def ms_to_samples(ms: float) -> int:
    """Milliseconds as a whole number of samples, rounded down."""
    return int(ms * SAMPLE_RATE // 1000)


def samples_to_s(samples: int) -> float:
    """A position or length in samples as seconds on the wire, rounded to a millisecond."""
    return round(samples / SAMPLE_RATE, 3)
