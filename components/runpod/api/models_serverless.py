"""Answers of API v2 about templates, registry credentials and serverless endpoints."""

from __future__ import annotations

from pydantic import Field

from components.runpod.api.models import ApiModel, Cpu, Id


class Container(ApiModel):
    """Container settings of templates and endpoints."""

    id: Id
    name: str
    image: str = ""
    args: str = ""
    disk: int = 0
    ports: tuple[str, ...] = ()
    env: dict[str, str] = Field(default_factory=dict, repr=False)
    registry: str | None = None


class PersistentMount(ApiModel):
    """A volume disk on the pod's own machine."""

    size: int
    path: str


class TemplateMounts(ApiModel):
    """Storage of a template."""

    persistent: PersistentMount | None = None


class Template(Container):
    """A preset of container settings; it costs nothing."""

    mounts: TemplateMounts = TemplateMounts()
    serverless: bool = False
    public: bool = False
    category: str = "NVIDIA"
    start_ssh: bool = Field(default=True, alias="startSsh")
    start_jupyter: bool = Field(default=True, alias="startJupyter")
    allowed_cuda: tuple[str, ...] = Field(default=(), alias="allowedCudaVersions")


class RegistryCredential(ApiModel):
    """Stored credentials of a container registry; user and password are never sent back."""

    id: Id
    name: str


class EndpointGpu(ApiModel):
    """GPUs of an endpoint's workers."""

    pools: tuple[str, ...] = ()
    excluded: tuple[str, ...] = Field(default=(), alias="excludedTypes")
    count: int = 1
    allowed_cuda: tuple[str, ...] = Field(default=(), alias="allowedCudaVersions")
    min_cuda: str | None = Field(default=None, alias="minCudaVersion")


class EndpointWorkers(ApiModel):
    """Bounds of the number of workers."""

    min: int = 0
    max: int = 0
    idle_timeout: int | None = Field(default=None, alias="idleTimeout")


class Scaling(ApiModel):
    """Scaling rule of the number of workers."""

    type: str
    queue_delay: float | None = Field(default=None, alias="queueDelay")
    request_count: int | None = Field(default=None, alias="requestCount")


class Endpoint(Container):
    """A serverless endpoint; its workers are billed, the endpoint itself is not."""

    type: str = "QUEUE"
    urls: dict[str, str] = Field(default_factory=dict, alias="requestUrls")
    gpu: EndpointGpu | None = None
    cpu: tuple[Cpu, ...] = ()
    workers: EndpointWorkers = EndpointWorkers()
    scaling: Scaling
    data_centers: tuple[str, ...] = Field(default=(), alias="dataCenterIds")
    volumes: tuple[str, ...] = Field(default=(), alias="networkVolumes")
    timeout: int = 0
    flashboot: str = "OFF"


class EndpointWorker(ApiModel):
    """A worker of an endpoint; it is billed while it is listed."""

    id: str
    status: str
    gpu_type: str | None = Field(default=None, alias="gpuTypeId")
    gpu_count: int = Field(default=0, alias="gpuCount")
