"""The command lines of NVIDIA's tools, flag by flag as TensorRT-LLM 1.2.1 takes them.

Pure functions of the profile, the model and the folders. Flags of older scripts that 1.2.1 does
not know (`--enable_xqa`, `--multi_block_mode`, ...) are not here.
"""

from pathlib import Path

from build.engine.image import CONVERT_SCRIPT, RUN_SCRIPT
from build.engine.models import AUDIO_STATES, WhisperModel
from build.engine.profiles import Profile
from build.engine.steps import Command

DATA_SET = "hf-internal-testing/librispeech_asr_dummy"
DATA_SET_NAME = "clean"
DATA_SET_SPLIT = "validation"
PYTHON = "python3"
BUILD = "trtllm-build"


def convert(
    model: WhisperModel, precision: str, example: Path, assets: Path, output: Path
) -> Command:
    """OpenAI's weights to a TensorRT-LLM checkpoint: `encoder/` and `decoder/` in `output`."""
    quantized = ("--use_weight_only", "--weight_only_precision", "int8")
    return Command(
        (
            *(PYTHON, str(example / CONVERT_SCRIPT)),
            *("--model_dir", str(assets)),
            *("--model_name", model.name),
            *("--output_dir", str(output)),
            *(quantized if precision == "int8" else ()),
        )
    )


def encoder(profile: Profile, model: WhisperModel, checkpoint: Path, output: Path) -> Command:
    """Compile the encoder. Without max_num_tokens its default of 8192 caps a batch at 5 windows."""
    batch = profile.batches(model).encoder_max_batch_size
    frames = str(profile.limits.max_encoder_input_len)
    return Command(
        (
            *(BUILD, "--checkpoint_dir", str(checkpoint / "encoder")),
            *("--output_dir", str(output)),
            *("--moe_plugin", "disable"),
            *("--max_batch_size", str(batch)),
            *("--max_num_tokens", str(AUDIO_STATES * batch)),
            *("--gemm_plugin", "disable"),
            *("--bert_attention_plugin", "float16"),
            *("--max_input_len", frames),
            *("--max_seq_len", frames),
        )
    )


def decoder(
    profile: Profile, model: WhisperModel, checkpoint: Path, output: Path, gemm_plugin: str
) -> Command:
    """Compile the decoder. Paged cache and removed padding, which the backend needs, are defaults.

    `gemm_plugin` is `float16`, or `disable`, with which alone NVIDIA tests the C++ runtime.
    """
    limits = profile.limits
    return Command(
        (
            *(BUILD, "--checkpoint_dir", str(checkpoint / "decoder")),
            *("--output_dir", str(output)),
            *("--moe_plugin", "disable"),
            *("--max_beam_width", str(limits.max_beam_width)),
            *("--max_batch_size", str(profile.batches(model).decoder_max_batch_size)),
            *("--max_seq_len", str(limits.max_seq_len)),
            *("--max_input_len", str(limits.max_input_len)),
            *("--max_encoder_input_len", str(limits.max_encoder_input_len)),
            *("--gemm_plugin", gemm_plugin),
            *("--bert_attention_plugin", "float16"),
            *("--gpt_attention_plugin", "float16"),
        )
    )


def fetch_data_set(cache: Path) -> Command:
    """Have the acceptance's data set in the cache: a missing network is no fault of the engine."""
    arguments = f"{DATA_SET!r}, {DATA_SET_NAME!r}, split={DATA_SET_SPLIT!r}, trust_remote_code=True"
    code = f"from datasets import load_dataset; load_dataset({arguments})"
    return Command((PYTHON, "-c", code), {"HF_HOME": str(cache)})


def acceptance(
    example: Path, engine: Path, assets: Path, results: Path, cache: Path, own_limit: bool
) -> Command:
    """Decode NVIDIA's own set with the C++ runtime; `own_limit`: without its built-in threshold."""
    return Command(
        (
            *(PYTHON, str(example / RUN_SCRIPT)),
            *("--engine_dir", str(engine)),
            *("--dataset", DATA_SET),
            *("--dataset_name", DATA_SET_NAME),
            "--enable_warmup",
            *("--name", engine.name),
            *("--assets_dir", str(assets)),
            *("--results_dir", str(results)),
            *(() if own_limit else ("--accuracy_check",)),
        ),
        {"HF_HOME": str(cache)},
    )
