# Compiles engines: `docker compose run --rm build-engine --profile h100 --model large-v3`.
#
# NVIDIA's Whisper example wants packages of its own (its requirements.txt, less tensorrt_llm, which
# the image is). They stand behind the image's own on Python's path: where it has one of them, that
# one is taken, so nothing that belongs to TensorRT-LLM changes.
FROM python:3.12-slim-bookworm AS fetched

WORKDIR /server
COPY requirements/engine.txt requirements/
RUN python -m pip install --no-cache-dir --no-deps --only-binary=:all: --require-hashes \
    --target packages --requirement requirements/engine.txt
COPY build/requirements-openai-whisper.txt build/
RUN PYTHONPATH=packages python -m pip install --no-cache-dir --no-deps --no-build-isolation \
    --no-binary=:all: --require-hashes --target packages \
    --requirement build/requirements-openai-whisper.txt


FROM nvcr.io/nvidia/tritonserver:26.06-trtllm-python-py3

COPY --from=fetched /server/packages /opt/whisper-example
RUN echo /opt/whisper-example \
    > "$(python3 -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/whisper_example.pth"

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONPATH=/server
WORKDIR /server

COPY pipeline/__init__.py pipeline/engine_manifest.py pipeline/language.py pipeline/
COPY model_repository/whisper model_repository/whisper
COPY build/__init__.py build/
COPY build/engine build/engine
COPY build/profiles build/profiles
# A checkout may be readable to its owner alone.
RUN chmod -R a+rX build/__init__.py build/engine build/profiles model_repository pipeline

# `triton-server` in NVIDIA's images. HOME and USER for whatever asks who it is: MPI, torch.
USER 1000:1000
ENV HOME=/tmp \
    USER=triton-server
HEALTHCHECK NONE
# NVIDIA's own entrypoint stays in front, as in the image that serves.
ENTRYPOINT ["/opt/nvidia/nvidia_entrypoint.sh", "python3", "-m", "build.engine", "build"]
