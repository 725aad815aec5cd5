# The websocket gateway, and the self-check that runs once before it. The same images stand in front
# of the TensorRT-LLM engine and of the embedded one. Nothing here needs to be written to at run time.
FROM python:3.12-slim-bookworm AS gateway

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONPATH=/server
WORKDIR /server

COPY requirements/gateway.txt requirements/
RUN python -m pip install --no-cache-dir --no-deps --only-binary=:all: --require-hashes \
    --requirement requirements/gateway.txt

# Of the pipeline only what both sides of the wire share (pyproject.toml's import contract).
COPY pipeline/__init__.py pipeline/audio.py pipeline/contract.py pipeline/language.py \
    pipeline/options.py pipeline/
COPY gateway gateway
# A checkout may be readable to its owner alone.
RUN chmod -R a+rX gateway pipeline

# A number, so that Kubernetes' runAsNonRoot can see it too.
USER 65532:65532
ENV GATEWAY_HOST=0.0.0.0 \
    GATEWAY_METRICS_HOST=0.0.0.0 \
    GATEWAY_METRICS_PORT=8003
EXPOSE 8000 8003
# Ready, not just alive: `docker compose up --wait` returns when a stream would be served. Docker
# restarts nothing for it.
HEALTHCHECK --start-period=30s --interval=5s --timeout=5s --retries=3 \
    CMD ["python", "-m", "gateway.probe"]
CMD ["python", "-m", "gateway"]


# One recording through the served ensemble. It is a program that ends: no health check.
FROM gateway AS self-check
USER 0
COPY requirements/self-check.txt requirements/
RUN python -m pip install --no-cache-dir --no-deps --only-binary=:all: --require-hashes \
    --requirement requirements/self-check.txt
COPY scripts/arguments.py scripts/display.py scripts/ensemble_stream.py scripts/error_rate.py \
    scripts/recording.py scripts/self_check.py scripts/triton_stream.py scripts/
COPY tests/data/jfk.wav tests/data/
RUN chmod -R a+rX scripts tests
USER 65532:65532
HEALTHCHECK NONE
CMD ["python", "scripts/self_check.py"]
