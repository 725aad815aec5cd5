"""Builds Whisper engines for TensorRT-LLM and says whether one fits this machine.

    python -m build.engine build --profile h100 --model large-v3      # inside the pinned image
    python -m build.engine build --profile h100 --model large-v3 --dry-run      # anywhere
    python -m build.engine verify build/output/engines/large-v3-h100
    python -m build.engine profiles

| module | what it knows |
|---|---|
| `models`, `profiles`, `image` | data: weights, hardware, the image that all is pinned to |
| `machine` | the one seam to the GPU, the installed packages and the disk |
| `plan`, `commands` | the steps of a build, the command lines of the tools |
| `triton_schema` | what a `config.pbtxt` is made of |
| `steps`, `stamps` | how steps run, and what need not be done again |
| `preflight`, `config_check`, `fetch`, `tokenizer`, `parts`, `manifest`, `acceptance` | a step |
| `verify` | what is refused when an engine is to be served |

It knows nothing of Triton but the parameters of its TensorRT-LLM backend.
"""
