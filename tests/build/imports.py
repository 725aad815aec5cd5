"""Which files and packages a program of this repository imports, found without running it."""

import ast
import sys
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OURS = ("build", "gateway", "pipeline", "scripts")


def needed(roots: Iterable[str]) -> tuple[set[str], set[str]]:
    """Files below the root, and packages as PyPI names them, that modules need to be imported."""
    files: set[str] = set()
    packages: set[str] = set()
    waiting = list(roots)
    while waiting:
        module = waiting.pop()
        if module.split(".")[0] not in OURS:
            packages |= _distributions(module)
            continue
        for file in _files_of(module):
            name = str(file.relative_to(ROOT))
            if name not in files:
                files.add(name)
                waiting += _imports(file)
    return files, packages


def _files_of(module: str) -> Iterator[Path]:
    """The module's own file, and those of the packages around it."""
    path = ROOT
    for part in module.split("."):
        path /= part
        if path.with_suffix(".py").is_file():
            yield path.with_suffix(".py")
        elif (path / "__init__.py").is_file():
            yield path / "__init__.py"


def _imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


_BY_IMPORT = {
    **metadata.packages_distributions(),
    "google": ["protobuf"],
    "opentelemetry": ["opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http"],
}
"""The two are folders of several packages; only these of them are used here."""


def _distributions(module: str) -> set[str]:
    """The package that a module belongs to; none for the standard library's and Triton's own."""
    top = module.split(".")[0]
    if top in sys.stdlib_module_names or top == "triton_python_backend_utils":
        return set()
    return {name.lower().replace("_", "-") for name in _BY_IMPORT[top]}


def locked(*names: str) -> dict[str, str]:
    """Versions by package in locks of `requirements/`; for Python 3.12 where it matters."""
    found = {}
    for name in names:
        for line in (ROOT / f"requirements/{name}.txt").read_text().splitlines():
            if line[:1].isalnum() and "python_full_version < '3.12'" not in line:
                package, _, version = line.split(" ")[0].partition("==")
                found[package] = version
    return found
