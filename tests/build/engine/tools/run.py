"""In the place of NVIDIA's run.py: writes the file of errors, has the same built-in threshold."""

import argparse
import os
import sys
from pathlib import Path

from tests.build.engine.tools.fake_calls import misbehave, note

parser = argparse.ArgumentParser(allow_abbrev=False)
for name in ("engine_dir", "assets_dir", "results_dir"):
    parser.add_argument(f"--{name}", type=Path, required=True)
for name in ("dataset", "dataset_name", "name"):
    parser.add_argument(f"--{name}", required=True)
parser.add_argument("--enable_warmup", action="store_true")
parser.add_argument("--accuracy_check", action="store_true")
arguments = parser.parse_args()

note(f"run {' '.join(sorted(path.name for path in arguments.engine_dir.iterdir()))}")
assert (arguments.assets_dir / "multilingual.tiktoken").is_file()
misbehave("run")
errors = float(os.environ.get("FAKE_ERRORS", "2.4"))
arguments.results_dir.mkdir(parents=True)
path = arguments.results_dir / f"errs-{arguments.name}.txt"
path.write_text(f"%WER = {errors:.2f}\nErrors: 1 insertions, 2 deletions, 3 substitutions\n")
sys.exit(1 if arguments.accuracy_check and errors > 2.8 else 0)
