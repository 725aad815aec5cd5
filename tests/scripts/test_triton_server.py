"""How Triton is started, and what is made of its log."""

import os
from pathlib import Path

from scripts import triton_server


def environment(base: dict[str, str]) -> dict[str, str]:
    return triton_server.environment(base, Path("/models/base"), Path("/models/vad.onnx"))


def test_the_stages_are_told_where_the_weights_are() -> None:
    told = environment({})
    assert told["WHISPER_MODEL_DIR"] == "/models/base"
    assert told["SILERO_VAD_ONNX"] == "/models/vad.onnx"


def test_the_stages_find_the_repositorys_code() -> None:
    assert str(triton_server.ROOT) in environment({})["PYTHONPATH"].split(os.pathsep)


def test_what_the_operator_has_set_is_kept() -> None:
    told = environment({"OMP_NUM_THREADS": "4", "LD_LIBRARY_PATH": "/opt/lib"})
    assert told["OMP_NUM_THREADS"] == "4"
    assert told["LD_LIBRARY_PATH"].endswith(":/opt/lib")
    assert int(told["MALLOC_ARENA_MAX"]) > 1


def test_an_engine_on_a_gpu_finds_cublas_beside_the_other_packages() -> None:
    folders = environment({})["LD_LIBRARY_PATH"].split(os.pathsep)
    assert any(folder.endswith("site-packages/nvidia/cublas/lib") for folder in folders)


def test_the_backend_folder_has_the_three_files_and_can_be_made_twice(tmp_path: Path) -> None:
    for _ in range(2):
        triton_server.make_backends(tmp_path)
    backend = tmp_path / "python"
    assert sorted(path.name for path in backend.iterdir()) == [
        "libtriton_python.so",
        "triton_python_backend_stub",
        "triton_python_backend_utils.py",
    ]
    assert os.access(backend / "triton_python_backend_stub", os.X_OK)


def test_nothing_is_ready_where_nothing_listens() -> None:
    assert not triton_server.is_ready("127.0.0.1:9")


def test_the_errors_of_a_log_are_its_telling_lines(tmp_path: Path) -> None:
    log = tmp_path / "triton.log"
    log.write_text(
        'E1123 03:12:49.542857 1 server.cc:241] "CudaDriverHelper has not been initialized."\n'
        'I1123 03:12:49.600000 1 server.cc:300] "loading"\n'
        'E1123 03:12:53.063466 1 backend_model.cc:692] "ERROR: Failed to create instance"\n'
        "ModuleNotFoundError: No module named 'pipeline'\n"
    )
    first, second = triton_server.error_lines(log)
    assert "Failed to create instance" in first
    assert second.startswith("ModuleNotFoundError")


def test_a_log_without_errors_is_shown_by_its_end(tmp_path: Path) -> None:
    log = tmp_path / "triton.log"
    log.write_text("one\ntwo\nthree\n")
    assert triton_server.error_lines(log, most=2) == ["two", "three"]
