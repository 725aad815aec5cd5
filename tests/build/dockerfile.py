"""Dockerfiles as data: stages with their instructions. Knows no container."""

import json
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Stage:
    """One FROM and what follows it."""

    base: str
    name: str
    instructions: list[tuple[str, str]] = field(default_factory=list)
    """Keyword and the rest, continued lines joined."""

    def all(self, keyword: str) -> list[str]:
        return [rest for word, rest in self.instructions if word == keyword]

    @property
    def copies(self) -> list[tuple[str, Path]]:
        """What is copied from the repository, and where it is below WORKDIR."""
        found = []
        for rest in self.all("COPY"):
            if "--from=" not in rest:
                *sources, target = rest.split()
                found += [(source, _place(source, target)) for source in sources]
        return found

    def copies_from(self, stage: str) -> dict[str, str]:
        """Targets by source, of what is copied from another stage."""
        rests = [rest.split() for rest in self.all("COPY") if f"--from={stage} " in rest]
        return {source: target for _, source, target in rests}

    @property
    def environment(self) -> dict[str, str]:
        """What ENV sets."""
        words = " ".join(self.all("ENV")).split()
        return dict(word.split("=", 1) for word in words)

    def command(self, keyword: str) -> list[str]:
        """CMD or ENTRYPOINT; empty where there is none."""
        rests = self.all(keyword)
        command: list[str] = json.loads(rests[-1]) if rests else []
        return command


def stages(path: Path) -> list[Stage]:
    """The stages of a Dockerfile, in their order."""
    found: list[Stage] = []
    for line in _joined_lines(path.read_text(encoding="utf-8")):
        keyword, _, rest = line.partition(" ")
        if keyword == "FROM":
            base, _, name = rest.partition(" AS ")
            found.append(Stage(base, name))
        else:
            found[-1].instructions.append((keyword, rest.strip()))
    return found


def _joined_lines(text: str) -> list[str]:
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return "\n".join(lines).replace("\\\n", " ").splitlines()


def _place(source: str, target: str) -> Path:
    """A folder's contents are copied, a file into a target that ends in a slash."""
    is_file = (ROOT / source).is_file()
    return Path(target) / Path(source).name if is_file and target.endswith("/") else Path(target)
