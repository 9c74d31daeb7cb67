"""Failure codes of jobs: the codes that are stored, and their messages for the owner."""

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
"""ComfyUI was restarted and has no record of the job. A missing record never counts as success."""

NOT_KEPT = "result_not_kept"
"""The job ended, but its files could not be stored on the volume."""

STORAGE_FULL = Code.STORAGE_FULL.value

UNREADABLE = "result_unreadable"
"""ComfyUI reports the end of the job in a form that cannot be read."""

TEXTS: Mapping[str, str] = {
    CANCELLED: "The job was cancelled.",
    EXECUTION_ERROR: "A node of the workflow failed.",
    GPU_FAULT: "The GPU failed while the job ran; ComfyUI is being restarted. Submit the job again.",
    GPU_OUT_OF_MEMORY: "The GPU ran out of memory; make smaller or fewer images, or use a smaller model.",
    JOB_TIMEOUT: "The job exceeded its time limit and was stopped; use fewer steps, or set a longer timeout_seconds.",
    UNREADABLE: "ComfyUI ended the job with an unreadable result; submit it again, or inform the operator.",
    NOT_KEPT: "The job ended, but its files could not be stored: the volume reports errors. Submit it again later.",
    STORAGE_FULL: "The volume is full, so the job's files could not be stored. Delete files that are not needed, or "
    "ask the operator for a larger volume; then submit the job again.",
    LOST: "ComfyUI crashed twice while it ran the job; the workflow may need more memory than the machine has.",
}
"""Messages by code; other failure codes are codes of core.problems."""

_OUT_OF_MEMORY = ("outofmemory", "out of memory", "cublas_status_alloc_failed", "defaultcpuallocator")
_FAULT = (
    "cuda error", "acceleratorerror", "cudaerror", "device-side assert", "cudnn_status_execution_failed",
    "cublas_status_execution_failed", "hip error", "unspecified launch failure", "illegal memory access",
)  # fmt: skip
"""After these the process cannot use its GPU again (CUDA C Programming Guide, "sticky" errors)."""


def of_error(error: Mapping[str, Any]) -> str:
    """Return the failure code of ComfyUI's `execution_error`; out of memory comes first, since it needs no restart."""
    text = f"{error.get('exception_type', '')} {error.get('exception_message', '')}".lower()
    if any(word in text for word in _OUT_OF_MEMORY):
        return GPU_OUT_OF_MEMORY
    return GPU_FAULT if any(word in text for word in _FAULT) else EXECUTION_ERROR
