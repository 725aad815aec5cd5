"""The steps of a build, in order: what each does, from what, and what it leaves.

It decides nothing that costs time: folders and command lines follow from the request, and the
machine is not looked at before a step runs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from build.engine import acceptance, commands, config_check, machine, parts, preflight
from build.engine.fetch import fetch
from build.engine.image import PINNED, Image
from build.engine.machine import Gpu, Machine
from build.engine.manifest import TOKENIZER_FILE, engine_files, write_manifest
from build.engine.models import VOCABULARY, WhisperModel, downloads, engine_name
from build.engine.profiles import Profile, all_profiles
from build.engine.stamps import fingerprint, replace_file
from build.engine.steps import Command, Step
from build.engine.tokenizer import FORMAT, read_ranks, tokenizer_json
from pipeline.engine_manifest import MANIFEST_FILE

ROOT = Path(__file__).resolve().parents[2]
OUTPUT = ROOT / "build" / "output"
ENGINE_MODEL = ROOT / "model_repository" / "whisper"


@dataclass(frozen=True)
class Request:
    """What is to be built, and where. All folders are absolute."""

    profile: Profile
    model: WhisperModel
    precision: str = "float16"
    output: Path = OUTPUT / "engines"
    assets: Path = OUTPUT / "assets"
    work: Path = OUTPUT / "checkpoints"
    gemm_plugin: str = "float16"
    skip_acceptance: bool = False
    repository: Path = ENGINE_MODEL
    """The Triton model that will serve the engine."""

    @property
    def engine(self) -> Path:
        """The engine's folder."""
        return self.output / engine_name(self.model.name, self.precision, self.profile.name)

    @property
    def checkpoint(self) -> Path:
        """Shared by all profiles."""
        return self.work / f"{self.model.name}-{self.precision}"

    @property
    def stamps(self) -> Path:
        """Where it is written down what is done."""
        return self.work / "stamps"


class Plan:
    """The steps for one request on one machine."""

    def __init__(self, request: Request, here: Machine, image: Image = PINNED) -> None:
        self._request = request
        self._machine = here
        self._image = image
        r, example = request, image.example()
        engine, checkpoint = r.engine, r.checkpoint
        encoder, decoder = (parts.partial_of(engine / part) for part in ("encoder", "decoder"))
        self._convert = commands.convert(
            r.model, r.precision, example, r.assets, parts.partial_of(checkpoint)
        )
        self._encoder = commands.encoder(r.profile, r.model, checkpoint, encoder)
        self._decoder = commands.decoder(r.profile, r.model, checkpoint, decoder, r.gemm_plugin)
        cache, self._results = r.assets / "huggingface", r.work / "acceptance" / engine.name
        own_limit = acceptance.has_own_limit(r.model)
        self._data_set = commands.fetch_data_set(cache)
        self._accept = commands.acceptance(
            example, engine, r.assets, self._results, cache, own_limit
        )

    def steps(self) -> list[Step]:
        """Everything, in order."""
        return [
            self._preflight(),
            self._config_check(),
            self._fetch(),
            self._tokenizer(),
            self._convert_step(),
            self._part("encoder", self._encoder),
            self._part("decoder", self._decoder),
            self._manifest(),
            self._acceptance(),
        ]

    @cached_property
    def _gpu(self) -> Gpu:
        return preflight.check_gpu(self._request.profile, all_profiles(), self._machine)

    def _tools(self) -> dict[str, str]:
        """What an engine depends on besides its checkpoint."""
        gpu = f"{self._gpu.kind}, compute capability {self._gpu.compute_capability}"
        return {"GPU": gpu, "TensorRT-LLM": self._machine.version("tensorrt_llm") or ""}

    def _preflight(self) -> Step:
        looks = (machine.LIST, machine.CAPABILITIES, machine.DETAILS)
        return Step("preflight", [Command(look).line() for look in looks], self._check_all)

    def _check_all(self) -> None:
        r = self._request
        preflight.check_image(self._image, self._machine)
        print(f"    {self._gpu.kind}, {self._gpu.memory_mib} MiB")
        there = {
            r.assets / r.model.weights.name: (r.assets / r.model.weights.name).is_file(),
            r.checkpoint: r.checkpoint.is_dir(),
            r.engine: (r.engine / MANIFEST_FILE).is_file(),
        }
        preflight.check_disk(r.model, there, self._machine)

    def _config_check(self) -> Step:
        folder, template = self._request.repository, self._image.template()
        return Step(
            "config-check",
            [f"# compare {folder}/config.pbtxt and configs/*.pbtxt with {template}"],
            lambda: print(f"    {len(config_check.check_configs(folder, template))} files agree"),
        )

    def _fetch(self) -> Step:
        folder, files = self._request.assets, downloads(self._request.model)

        def get() -> None:
            for file in files:
                fetch(file, folder)

        return Step(
            "fetch",
            [f"# {f.url} to {folder / f.name} (sha256 {f.sha256})" for f in files],
            get,
            lambda: {file.url: file.sha256 for file in files},
            tuple(folder / file.name for file in files),
            self._request.model.name,
        )

    def _tokenizer(self) -> Step:
        source = self._request.assets / VOCABULARY.name
        target = self._request.engine / TOKENIZER_FILE
        languages = self._request.model.languages

        def make() -> None:
            parts.withdraw(self._request.engine)
            text = tokenizer_json(read_ranks(source.read_bytes()), languages)
            replace_file(target, text.encode())

        return Step(
            "tokenizer",
            [f"# {source} with {languages} languages to {target}"],
            make,
            lambda: {"source": VOCABULARY.sha256, "languages": str(languages), "format": FORMAT},
            (target,),
            self._request.engine.name,
        )

    def _convert_step(self) -> Step:
        r = self._request

        def make() -> None:
            parts.make_folder(
                r.checkpoint, parts.CHECKPOINT_FILES, lambda: self._convert.run(r.work)
            )

        return Step(
            "convert",
            [self._convert.line()],
            make,
            lambda: {
                "command": self._convert.line(),
                "weights": r.model.sha256,
                "TensorRT-LLM": self._tools()["TensorRT-LLM"],
            },
            (r.checkpoint,),
            r.checkpoint.name,
        )

    def _part(self, name: str, command: Command) -> Step:
        r = self._request
        folder = r.engine / name

        def make() -> None:
            parts.withdraw(r.engine)
            parts.make_folder(folder, parts.ENGINE_FILES, lambda: command.run(r.work))

        return Step(
            name,
            [command.line()],
            make,
            lambda: {
                "command": command.line(),
                "checkpoint": fingerprint(r.checkpoint / name),
                **self._tools(),
            },
            (folder,),
            r.engine.name,
        )

    def _manifest(self) -> Step:
        r = self._request
        made_by: Mapping[str, list[str]] = {
            "convert": list(self._convert.argv),
            "encoder": list(self._encoder.argv),
            "decoder": list(self._decoder.argv),
        }

        def make() -> None:
            parts.withdraw(r.engine)
            arguments = (r.engine, r.profile, r.model, r.precision)
            write_manifest(*arguments, self._image, self._machine, self._gpu, made_by)

        return Step(
            "manifest",
            [f"# sizes and sha256 of all files to {r.engine / MANIFEST_FILE}"],
            make,
            lambda: {str(path): fingerprint(path) for path in engine_files(r.engine)},
            (r.engine / MANIFEST_FILE,),
            r.engine.name,
        )

    def _acceptance(self) -> Step:
        r = self._request
        kept = (r.engine / parts.ACCEPTANCE_FILE,)
        if r.skip_acceptance:
            return Step(
                "acceptance",
                ["# skipped"],
                lambda: acceptance.skip(r.engine),
            )
        return Step(
            "acceptance",
            [self._data_set.line(), self._accept.line()],
            lambda: acceptance.accept(
                r.engine, r.model, self._data_set, self._accept, self._results, r.work
            ),
            lambda: {
                "command": self._accept.line(),
                "engine": fingerprint(r.engine / MANIFEST_FILE),
            },
            kept,
            r.engine.name,
        )
