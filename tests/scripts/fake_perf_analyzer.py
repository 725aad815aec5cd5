"""Stands in for perf_analyzer: leaves the files of a real run where it is started.

    python fake_perf_analyzer.py DATA [perf_analyzer's arguments]

DATA holds what perf_analyzer wrote of real runs (tests/data/perf_analyzer). FAKE_FAILS_AT names a
rate or concurrency at which it fails, FAKE_SAYS a file of DATA for standard error, FAKE_WARNS a
line of its output.
"""

import os
import shutil
import sys
from itertools import pairwise
from pathlib import Path

UNSTABLE = 2


def main(data: Path, arguments: list[str]) -> int:
    """Returns the exit status."""
    values = dict(pairwise(arguments))
    named = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    load = named.get("--request-rate-range") or named["--concurrency-range"]
    assert Path(named["--input-data"]).is_file()
    if "FAKE_SAYS" in os.environ and os.environ.get("FAKE_FAILS_AT", load) == load:
        sys.stderr.write((data / os.environ["FAKE_SAYS"]).read_text())
        return UNSTABLE
    sys.stdout.write(f"Request count: 1\n{os.environ.get('FAKE_WARNS', '')}\n")
    kind = "ensemble" if "--streaming" in arguments else "whisper"
    shutil.copy(data / f"{kind}_report.csv", values["-f"])
    if export := named.get("--profile-export-file"):
        shutil.copy(data / "ensemble_export.json", export)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
