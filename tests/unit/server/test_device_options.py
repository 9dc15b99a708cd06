"""Options of a GPU: what ONNX Runtime is told, what is refused, and what the settings make of it."""

from __future__ import annotations

import mmap
from dataclasses import replace
from pathlib import Path

import onnxruntime
import pytest

from unbraid_core.errors import DeviceUnavailable, InvalidInput
from unbraid_core.release import open_release
from unbraid_core.release.layout import USER_ENCODER
from unbraid_server.bucketed_encoder import LARGEST_BATCH, bucket_length, shape_ranges
from unbraid_server.device import Device, DeviceChoice, choose_device, confirm_device
from unbraid_server.device_options import (
    CPU_PROVIDER,
    CUDA_PROVIDER,
    TENSORRT_PROVIDER,
    DeviceOptions,
    Retrieval,
    provider_options,
)
from unbraid_server.encoder import OnnxEncoder
from unbraid_server.retrieval import choose_retrieval
from unbraid_server.settings import ServerSettings

RUNTIME = Path(onnxruntime.__file__).parent / "capi"
CACHE = DeviceOptions(tensorrt_cache=Path("engines"))
AUTO = DeviceOptions(retrieval=Retrieval.AUTO)
EVERYTHING = DeviceOptions(gpu_id=1, gpu_memory_mb=2048, cuda_graphs=True)


def test_cuda_is_told_to_compute_in_single_precision_and_to_take_the_memory_that_is_asked_for() -> None:
    assert provider_options([CUDA_PROVIDER, CPU_PROVIDER], DeviceOptions()) == {
        CUDA_PROVIDER: {
            "device_id": "0",
            "arena_extend_strategy": "kSameAsRequested",
            "cudnn_conv_algo_search": "HEURISTIC",
            "do_copy_in_default_stream": "1",
            "use_tf32": "0",
        },
        CPU_PROVIDER: {},
    }


def test_what_the_operator_chose_is_passed_on() -> None:
    cuda = provider_options([CUDA_PROVIDER], EVERYTHING)[CUDA_PROVIDER]
    assert (cuda["device_id"], cuda["gpu_mem_limit"], cuda["enable_cuda_graph"]) == ("1", "2147483648", "1")


def test_tensorrt_gets_its_cache_and_one_profile_for_all_shapes(release_v1: Path) -> None:
    providers = [TENSORRT_PROVIDER, CUDA_PROVIDER, CPU_PROVIDER]
    shapes = shape_ranges(open_release(release_v1).manifest.encoder)
    told = provider_options(providers, CACHE, shapes)
    assert list(told) == providers
    tensorrt = told[TENSORRT_PROVIDER]
    assert tensorrt["trt_engine_cache_path"] == tensorrt["trt_timing_cache_path"] == "engines"
    assert tensorrt["trt_profile_min_shapes"] == "item_vectors:1x6x8,age:1x6,action:1x6,mask:1x6"
    largest = f"item_vectors:{LARGEST_BATCH}x6x8,age:{LARGEST_BATCH}x6,action:{LARGEST_BATCH}x6,mask:{LARGEST_BATCH}x6"
    assert tensorrt["trt_profile_opt_shapes"] == tensorrt["trt_profile_max_shapes"] == largest


@pytest.mark.parametrize(
    ("library", "provider", "options"),
    [
        ("libonnxruntime_providers_cuda.so", CUDA_PROVIDER, EVERYTHING),
        ("libonnxruntime_providers_tensorrt.so", TENSORRT_PROVIDER, CACHE),
    ],
)
def test_the_installed_runtime_knows_every_option(
    library: str, provider: str, options: DeviceOptions, release_v1: Path
) -> None:
    path = RUNTIME / library
    if not path.exists():
        pytest.skip("this ONNX Runtime was built without it")
    told = provider_options([provider], options, shape_ranges(open_release(release_v1).manifest.encoder))[provider]
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as code:
        assert [name for name in told if code.find(b"\0" + name.encode() + b"\0") < 0] == []


@pytest.mark.parametrize(
    ("length", "max_history", "bucket"),
    [(1, 50, 16), (16, 50, 16), (17, 50, 32), (33, 50, 50), (50, 50, 50), (33, 100, 64), (65, 100, 100), (3, 6, 6)],
)
def test_histories_are_padded_to_a_power_of_two_or_the_longest_there_is(
    length: int, max_history: int, bucket: int
) -> None:
    assert bucket_length(length, max_history) == bucket


@pytest.mark.no_gpu
@pytest.mark.parametrize("device", [Device.CPU, Device.AUTO])
@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (CACHE, r"tensorrt_cache: TensorRT was demanded, but the encoder is on the CPU: .*; leave tensorrt_cache out"),
        (DeviceOptions(cuda_graphs=True), "cuda_graphs: CUDA graphs were demanded, but the encoder is on the CPU"),
    ],
)
def test_what_only_a_gpu_can_do_is_refused_without_one(
    release_v1: Path, device: Device, options: DeviceOptions, problem: str
) -> None:
    with pytest.raises(DeviceUnavailable, match=problem):
        OnnxEncoder(release_v1 / USER_ENCODER, open_release(release_v1).manifest.encoder, device, options)


def test_tensorrt_that_did_not_start_is_noticed() -> None:
    providers = (TENSORRT_PROVIDER, CUDA_PROVIDER, CPU_PROVIDER)
    choice = DeviceChoice(Device.AUTO, Device.CUDA, "a GPU was found", providers, CACHE)
    assert confirm_device(choice, providers) == choice
    with pytest.raises(DeviceUnavailable, match="could not start its TensorRT provider"):
        confirm_device(choice, providers[1:])


def test_a_gpu_that_is_not_there_is_an_obstacle() -> None:
    with pytest.raises(DeviceUnavailable, match=r"there is no GPU 99|no NVIDIA driver is installed|no usable GPU"):
        choose_device(Device.CUDA, [CUDA_PROVIDER, CPU_PROVIDER], DeviceOptions(gpu_id=99))


@pytest.mark.parametrize(
    ("requested", "active", "reason"),
    [
        (Retrieval.AUTO, Retrieval.INDEX, "the encoder runs on the CPU"),
        (Retrieval.INDEX, Retrieval.INDEX, "the setting demands it"),
        (Retrieval.DEVICE, Retrieval.DEVICE, "the setting demands it; the device is the CPU"),
    ],
)
def test_on_the_cpu_the_index_searches_unless_the_setting_demands_otherwise(
    requested: Retrieval, active: Retrieval, reason: str
) -> None:
    choice = choose_retrieval(choose_device(Device.CPU, [CPU_PROVIDER], DeviceOptions(retrieval=requested)), 2**40)
    assert (choice.requested, choice.active, choice.reason) == (requested, active, reason)


@pytest.mark.parametrize(
    ("options", "matrix_mb", "active"),
    [
        (AUTO, 2048, Retrieval.DEVICE),
        (AUTO, 2049, Retrieval.INDEX),
        (replace(AUTO, gpu_memory_mb=4096), 1024, Retrieval.DEVICE),
        (replace(AUTO, gpu_memory_mb=4096), 1025, Retrieval.INDEX),
        (replace(AUTO, gpu_memory_mb=65_536), 2049, Retrieval.INDEX),
        (DeviceOptions(retrieval=Retrieval.DEVICE), 2048, Retrieval.DEVICE),
    ],
)
def test_a_gpu_searches_where_the_item_vectors_take_a_quarter_of_what_is_granted(
    options: DeviceOptions, matrix_mb: int, active: Retrieval
) -> None:
    choice = choose_retrieval(on_gpu(options), matrix_mb * 2**20, lambda _: 8192 * 2**20)
    assert choice.active is active
    assert f"{matrix_mb:,} MB of item vectors are 25% of the" in choice.reason


def test_a_gpu_that_has_no_room_is_refused_where_it_was_demanded() -> None:
    options = DeviceOptions(gpu_id=1, retrieval=Retrieval.DEVICE)
    with pytest.raises(DeviceUnavailable, match="retrieval: device was demanded, but 2,049 MB of item vectors are"):
        choose_retrieval(on_gpu(options), 2049 * 2**20, lambda gpu_id: gpu_id * 8192 * 2**20)


def on_gpu(options: DeviceOptions) -> DeviceChoice:
    return DeviceChoice(Device.AUTO, Device.CUDA, "a GPU was found", (CUDA_PROVIDER, CPU_PROVIDER), options)


def test_settings_say_how_to_use_a_gpu_and_what_searches() -> None:
    settings = ServerSettings.load(gpu_id=1, gpu_memory_mb=2048, cuda_graphs=True, retrieval="device")
    assert settings.device_options == DeviceOptions(1, 2048, True, None, Retrieval.DEVICE)


def test_graphs_and_engines_cannot_be_had_together() -> None:
    with pytest.raises(InvalidInput, match="cuda_graphs: cannot be had together with tensorrt_cache"):
        ServerSettings.load(cuda_graphs=True, tensorrt_cache=Path("engines"))
