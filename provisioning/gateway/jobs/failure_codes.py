"""Why a job did not complete: the short words that are written down, and what they tell its owner."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provisioning.gateway.core.problems import Code

CANCELLED = "cancelled"
EXECUTION_ERROR = "execution_error"
GPU_FAULT = "gpu_fault"
GPU_OUT_OF_MEMORY = "gpu_out_of_memory"
JOB_TIMEOUT = "job_timeout"
LOST = "upstream_lost"
"""ComfyUI no longer knows the job and never said how it ended: it was restarted. Absence is never success."""

NOT_KEPT = "result_not_kept"
"""The job ended, and what it made could not be put on the volume."""

STORAGE_FULL = Code.STORAGE_FULL.value

UNREADABLE = "result_unreadable"
"""ComfyUI says that the job has ended, and nobody can tell from what it says how."""

TEXTS: Mapping[str, str] = {
    CANCELLED: "The job was cancelled.",
    EXECUTION_ERROR: "A node of the workflow failed.",
    GPU_FAULT: "The GPU failed while the job ran; ComfyUI is started anew. Submit the job again.",
    GPU_OUT_OF_MEMORY: "The GPU's memory was not enough; make the pictures smaller or fewer, or use a smaller model.",
    JOB_TIMEOUT: "The job ran longer than it may and was stopped; ask for fewer steps, or for a longer time-out.",
    UNREADABLE: "ComfyUI ended the job, and how it did cannot be read; submit it again, or tell the operator.",
    NOT_KEPT: "The job ended, and its files could not be kept: the volume gives errors. Submit it again later.",
    STORAGE_FULL: "The volume is full, so the job's files could not be kept. Delete files that are not needed, or ask "
    "the operator for a larger volume; then submit the job again.",
    LOST: "ComfyUI ended while it worked on the job, twice; the workflow may be more than the machine can bear.",
}
"""Reasons that are not here are codes of the catalogue of errors."""

_OUT_OF_MEMORY = ("outofmemory", "out of memory", "cublas_status_alloc_failed", "defaultcpuallocator")
_FAULT = (
    "cuda error", "acceleratorerror", "cudaerror", "device-side assert", "cudnn_status_execution_failed",
    "cublas_status_execution_failed", "hip error", "unspecified launch failure", "illegal memory access",
)  # fmt: skip
"""After these the process cannot use its GPU again (CUDA C Programming Guide, "sticky" errors)."""


def of_error(error: Mapping[str, Any]) -> str:
    """Return the reason that an `execution_error` of ComfyUI's tells; memory comes first, since it heals by itself."""
    text = f"{error.get('exception_type', '')} {error.get('exception_message', '')}".lower()
    if any(word in text for word in _OUT_OF_MEMORY):
        return GPU_OUT_OF_MEMORY
    return GPU_FAULT if any(word in text for word in _FAULT) else EXECUTION_ERROR
