"""Looking at the machine, through an nvidia-smi that prints what real ones print."""

import os
from pathlib import Path

import pytest

from build.engine.machine import Gpu, Machine, MachineError, ThisMachine, read_gpus, the_gpu
from tests.build.engine.support import H100, SLICE, FakeMachine

UUID = "GPU-950792bf-a01c-3f1a-e122-3473e67f54b2"
OTHER = "GPU-4101de38-535a-4255-ac14-a63e072d7a10"

WHOLE_LIST = f"GPU 0: NVIDIA H100 80GB HBM3 (UUID: {UUID})\n"
MIG_LIST = f"""{WHOLE_LIST}\
  MIG 3g.40gb     Device  0: (UUID: MIG-b3061c09-2a4c-5026-a575-79f86a5bb12c)
  MIG 1g.10gb     Device  1: (UUID: MIG-761ea9d1-82ac-41cb-9e19-d3593973f144)
"""
CAPABILITIES = f"{UUID}, 9.0\n{OTHER}, 8.0\n"


def details(mig: str = "Disabled", slices: str = "None", total: str = "81559 MiB") -> str:
    """What `nvidia-smi -q -x` prints, without what nobody reads."""
    return f"""<?xml version="1.0" ?>
<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd">
<nvidia_smi_log>
  <driver_version>575.57.08</driver_version>
  <cuda_version>12.9</cuda_version>
  <attached_gpus>1</attached_gpus>
  <gpu id="00000000:00:09.0">
    <product_name>NVIDIA H100 80GB HBM3</product_name>
    <mig_mode>
      <current_mig>{mig}</current_mig>
      <pending_mig>{mig}</pending_mig>
    </mig_mode>
    <mig_devices>
      {slices}
    </mig_devices>
    <uuid>{UUID}</uuid>
    <fb_memory_usage>
      <total>{total}</total>
      <reserved>551 MiB</reserved>
      <used>0 MiB</used>
      <free>81008 MiB</free>
    </fb_memory_usage>
    <bar1_memory_usage>
      <total>131072 MiB</total>
    </bar1_memory_usage>
  </gpu>
</nvidia_smi_log>
"""


def slice_(index: int, total: str) -> str:
    return f"""<mig_device>
        <index>{index}</index>
        <gpu_instance_id>{index + 1}</gpu_instance_id>
        <compute_instance_id>0</compute_instance_id>
        <fb_memory_usage>
          <total>{total}</total>
          <used>298 MiB</used>
        </fb_memory_usage>
      </mig_device>"""


MIG_DETAILS = details("Enabled", slice_(0, "40448 MiB") + slice_(1, "9856 MiB"), "N/A")


def test_a_whole_gpu_is_read() -> None:
    assert read_gpus(WHOLE_LIST, CAPABILITIES, details()) == [H100]


def test_a_gpu_that_knows_no_mig_is_read() -> None:
    text = details("N/A").replace("80GB HBM3", "L40S").replace("81559", "46068")
    listing = f"GPU 0: NVIDIA L40S (UUID: {UUID})\n"
    assert read_gpus(listing, f"{UUID}, 8.9\n", text) == [Gpu("NVIDIA L40S", 46068, "8.9")]


def test_slices_stand_in_the_place_of_their_gpu() -> None:
    assert read_gpus(MIG_LIST, CAPABILITIES, MIG_DETAILS) == [
        SLICE,
        Gpu("NVIDIA H100 80GB HBM3", 9856, "9.0", "1g.10gb"),
    ]


def test_a_gpu_in_mig_mode_without_slices_cannot_be_used() -> None:
    assert read_gpus(WHOLE_LIST, CAPABILITIES, details("Enabled", total="N/A")) == []


@pytest.mark.parametrize(
    ("listing", "capabilities", "xml", "message"),
    [
        (WHOLE_LIST, f"{OTHER}, 8.0\n", details(), "no compute capability of GPU-950792bf"),
        (WHOLE_LIST, CAPABILITIES, "No devices were found", "gave no XML"),
        (WHOLE_LIST.replace(UUID, OTHER), CAPABILITIES, details(), "does not show GPU-4101de38"),
        (WHOLE_LIST, CAPABILITIES, details(total="N/A"), "how much memory GPU-950792bf.* has"),
        (MIG_LIST, CAPABILITIES, details("Enabled", slice_(0, "1 MiB")), "MIG device 1 of GPU-95"),
    ],
)
def test_texts_that_do_not_fit_together_are_one_line(
    listing: str, capabilities: str, xml: str, message: str
) -> None:
    with pytest.raises(MachineError, match=message) as raised:
        read_gpus(listing, capabilities, xml)
    assert "\n" not in str(raised.value)


def install_nvidia_smi(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a script of that name on the PATH."""
    path = folder / "nvidia-smi"
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_nvidia_smi_is_asked_three_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {"list": MIG_LIST, "capabilities": CAPABILITIES, "details": MIG_DETAILS}
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    script = f"""case "$*" in
    -L) cat {tmp_path}/list ;;
    "--query-gpu=uuid,compute_cap --format=csv,noheader") cat {tmp_path}/capabilities ;;
    "-q -x") cat {tmp_path}/details ;;
    *) echo "unknown: $*"; exit 2 ;;
    esac"""
    install_nvidia_smi(tmp_path, monkeypatch, script)
    assert ThisMachine().gpus()[0] == SLICE


def test_a_driver_that_does_not_answer_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."
    install_nvidia_smi(tmp_path, monkeypatch, f'echo "{said}"; echo; exit 9')
    with pytest.raises(MachineError, match="exit status 9: NVIDIA-SMI has failed because"):
        ThisMachine().gpus()


def test_a_machine_without_nvidia_smi_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MachineError, match="nvidia-smi is not here"):
        ThisMachine().gpus()


def test_packages_settings_and_disk_are_this_machines(tmp_path: Path) -> None:
    machine: Machine = ThisMachine({"CUDA_VERSION": "13.1.0"})
    assert machine.version("tokenizers")
    assert machine.version("no-such-package") is None
    assert machine.setting("CUDA_VERSION") == "13.1.0"
    assert machine.setting("HOME") is None
    assert machine.free_bytes(tmp_path / "not" / "yet") == pytest.approx(
        machine.free_bytes(tmp_path), rel=0.1
    )


def test_of_several_gpus_alike_the_first_is_taken() -> None:
    assert the_gpu(FakeMachine(visible=[H100, H100])) == H100


@pytest.mark.parametrize(
    ("visible", "message"),
    [
        ([], "no GPU or MIG slice is visible"),
        ([H100, SLICE], "several kinds of GPU are visible .*HBM3 MIG 3g.40gb.*NVIDIA_VISIBLE"),
    ],
)
def test_one_kind_of_gpu_has_to_be_visible(visible: list[Gpu], message: str) -> None:
    with pytest.raises(MachineError, match=message):
        the_gpu(FakeMachine(visible=visible))
