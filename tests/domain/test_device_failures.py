"""What the texts of MLX's exceptions are taken for; they were copied from reports of people."""

import pytest

from forgellm.domain.device_failures import WAY_OUT_OF_A_RUN, kind_of
from forgellm.domain.errors import GpuInterrupted, NoTemporaryFolder, OutOfMemory

METAL = "[METAL] Command buffer execution failed: "


@pytest.mark.parametrize(
    "text",
    [
        "[malloc] Unable to allocate 999999999999 bytes.",
        "[metal::malloc] Attempting to allocate 103918075904 bytes which is greater than the maximum allowed "
        "buffer size of 86586540032 bytes.",
        "[metal::malloc] Resource limit (499000) exceeded.",
        METAL + "Insufficient Memory (00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory)",
        "std::bad_alloc",
    ],
)
def test_memory_that_is_short_is_named_however_mlx_says_it(text):
    assert kind_of(RuntimeError(text)) is OutOfMemory
    assert kind_of(MemoryError()) is OutOfMemory


@pytest.mark.parametrize(
    "reason",
    [
        "Impacting Interactivity (0000000e:kIOGPUCommandBufferCallbackErrorImpactingInteractivity)",
        "Caused GPU Timeout Error (00000002:kIOGPUCommandBufferCallbackErrorTimeout)",
        "Internal Error (0000000e:Internal Error)",
        "Ignored (for causing prior/excessive GPU errors) "
        "(00000004:kIOGPUCommandBufferCallbackErrorSubmissionsIgnored)",
    ],
)
def test_a_gpu_that_gave_up_is_named(reason):
    assert kind_of(RuntimeError(METAL + reason)) is GpuInterrupted


@pytest.mark.parametrize(
    "text",
    [
        "filesystem error: temp_directory_path: No such file or directory",
        "filesystem error: cannot create directories: Read-only file system [/tmp/mlx/0.32.4/cpu]",
        "[Compile::eval_cpu] Failed to compile function AddABf4_contiguous: Failed to execute command with "
        'return code 1: "g++", the output is: fatal error: closing /tmp/cc.s: No space left on device',
        "Could not load C++ shared library /tmp/mlx/cpu/lib.so: failed to map segment from shared object",
    ],
)
def test_a_temporary_folder_in_which_nothing_can_be_compiled_is_named(text):
    assert kind_of(RuntimeError(text)) is NoTemporaryFolder
    assert "TMPDIR" in WAY_OUT_OF_A_RUN[NoTemporaryFolder]


@pytest.mark.parametrize(
    "error",
    [
        KeyError("lm_head"),
        AttributeError("'Model' object has no attribute 'allocate'"),
        RuntimeError("[load_safetensors] Failed to open the file of the allocator"),
        ValueError("[matmul] Last dimension of first input with shape (1,2) must match"),
    ],
)
def test_anything_else_is_about_what_was_computed(error):
    assert kind_of(error) is None
