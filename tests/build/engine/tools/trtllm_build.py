"""In the place of trtllm-build: takes the flags of 1.2.1 that we use, writes a small engine."""

import argparse
import json
from pathlib import Path

from tests.build.engine.tools.fake_calls import misbehave, note

PLUGINS = ("moe_plugin", "gemm_plugin", "bert_attention_plugin", "gpt_attention_plugin")
LIMITS = (
    "max_batch_size",
    "max_num_tokens",
    "max_beam_width",
    "max_input_len",
    "max_seq_len",
    "max_encoder_input_len",
)

parser = argparse.ArgumentParser(allow_abbrev=False)
parser.add_argument("--checkpoint_dir", type=Path, required=True)
parser.add_argument("--output_dir", type=Path, required=True)
for name in PLUGINS:
    parser.add_argument(f"--{name}", choices=["float16", "disable"])
for name in LIMITS:
    parser.add_argument(f"--{name}", type=int)
arguments = vars(parser.parse_args())

part = arguments["checkpoint_dir"].name
output = arguments["output_dir"]
beside = sorted(path.name for path in output.parent.iterdir())
note(f"{part} {' '.join(beside)}" if "manifest.json" in beside else part)
output.mkdir()
(output / "rank0.engine").write_text("half")
misbehave(part)
pretrained = json.loads((arguments["checkpoint_dir"] / "config.json").read_text())
limits = {name: arguments[name] for name in LIMITS if arguments[name] is not None}
config = {"version": "1.2.1", "pretrained_config": pretrained, "build_config": limits}
(output / "config.json").write_text(json.dumps(config))
(output / "rank0.engine").write_text(f"engine {sorted(limits.items())}")
Path("model.cache").write_text("timings")  # trtllm-build leaves this where it is run
