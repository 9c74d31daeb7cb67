"""Client for RunPod's REST API v2."""

from components.runpod.api.client import Client
from components.runpod.api.errors import (
    AccessDeniedError,
    BadRequestError,
    BlockedError,
    ConflictError,
    LostAnswerError,
    NotFoundError,
    NotRunPodError,
    PaymentRequiredError,
    RateLimitedError,
    RunPodError,
    ServerError,
    StoppedError,
    UnauthorizedError,
    UnreachableError,
    ValidationFailedError,
)
from components.runpod.api.models import DataCenter, GpuType, NetworkVolume, Pod

__all__ = [
    "AccessDeniedError",
    "BadRequestError",
    "BlockedError",
    "Client",
    "ConflictError",
    "DataCenter",
    "GpuType",
    "LostAnswerError",
    "NetworkVolume",
    "NotFoundError",
    "NotRunPodError",
    "PaymentRequiredError",
    "Pod",
    "RateLimitedError",
    "RunPodError",
    "ServerError",
    "StoppedError",
    "UnauthorizedError",
    "UnreachableError",
    "ValidationFailedError",
]
