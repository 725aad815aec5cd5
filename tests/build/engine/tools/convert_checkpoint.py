"""In the place of NVIDIA's script: takes its flags, writes the files that it writes, but small."""

import argparse
import json
import os
import sys
from pathlib import Path

from tests.build.engine.tools.fake_calls import misbehave, note

parser = argparse.ArgumentParser(allow_abbrev=False)
parser.add_argument("--model_dir", type=Path, required=True)
parser.add_argument("--model_name", choices=["large-v3", "large-v3-turbo"], required=True)
parser.add_argument("--output_dir", type=Path, required=True)
parser.add_argument("--use_weight_only", action="store_true")
parser.add_argument("--weight_only_precision", choices=["int8", "int4"])
arguments = parser.parse_args()

note("convert")
dimensions = json.loads((arguments.model_dir / f"{arguments.model_name}.pt").read_text())
for part in ("encoder", "decoder"):
    folder = arguments.output_dir / part
    folder.mkdir(parents=True)
    config = {"n_mels": dimensions["n_mels"], "vocab_size": dimensions["n_vocab"]}
    (folder / "config.json").write_text(json.dumps(config))
    misbehave("convert")
    (folder / "rank0.safetensors").write_text(f"weights {arguments.use_weight_only} {os.getpid()}")
sys.exit(0)
