"""Answers of API v2, as far as they are used. Unknown members are ignored, because RunPod adds new ones."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

# Values that become part of an address, a file or a command line are validated strictly.
Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Host = Annotated[str, Field(pattern=r"^([A-Za-z0-9][A-Za-z0-9.:-]{0,252})?$")]
Port = Annotated[int, Field(ge=0, le=65535)]


class ApiModel(BaseModel):
    """Base of all answers."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Gpu(ApiModel):
    """Requested GPUs of a pod; `runtime.gpus` lists the actual ones."""

    id: str
    count: int = 1


class NetworkMount(ApiModel):
    """A network volume in a pod."""

    volume_id: Id = Field(alias="volumeId")
    path: str


class Mounts(ApiModel):
    """Storage of a pod."""

    network: tuple[NetworkMount, ...] = ()


class RuntimePort(ApiModel):
    """A port with its current public address."""

    private: Port
    public: Port | None = None
    type: str
    ip: str | None = None


class Runtime(ApiModel):
    """Present while the container runs."""

    uptime: int = 0
    gpus: tuple[dict[str, Any], ...] | None = None
    """One entry for each GPU of the container; none when no GPU was available at the start."""
    ports: tuple[RuntimePort, ...] | None = None


class SshEndpoint(ApiModel):
    """Address of sshd."""

    host: Host
    port: Port


class Ssh(ApiModel):
    """Ways to log in; `direct` comes with the public port of 22/tcp."""

    direct: SshEndpoint | None = None


class Cpu(ApiModel):
    """Flavour and size of a CPU pod or worker."""

    id: str
    vcpu_count: int = Field(alias="vcpuCount")


class Pod(ApiModel):
    """A pod."""

    id: Id
    name: str
    status: str
    image: str
    args: str = ""
    disk: int = 0
    mounts: Mounts = Mounts()
    ports: tuple[str, ...] = ()
    env: dict[str, str] = Field(default_factory=dict, repr=False)
    cloud: str = "SECURE"
    data_center_id: str | None = Field(default=None, alias="dataCenterId")
    cuda_version: str | None = Field(default=None, alias="cudaVersion")
    gpu: Gpu | None = None
    cpu: Cpu | None = None
    registry: str | None = None
    ssh: Ssh = Ssh()
    cost: float = 0.0
    runtime: Runtime | None = None
    created_at: str | None = Field(default=None, alias="createdAt")
    started_at: str | None = Field(default=None, alias="startedAt")

    @property
    def gpus_got(self) -> int:
        """Number of GPUs that the pod shows: a restarted pod may have none, and is billed.

        The list can be empty for minutes although the pod has its GPUs, so one observation is not conclusive.
        """
        asked = self.gpu.count if self.gpu else 0
        return asked if self.gpus_listed is None else min(asked, self.gpus_listed)

    @property
    def gpus_listed(self) -> int | None:
        """Number of GPUs that the running container lists; None without a list."""
        return None if self.runtime is None or self.runtime.gpus is None else len(self.runtime.gpus)


class NetworkVolume(ApiModel):
    """A network volume; it is billed from creation to deletion."""

    id: Id
    name: str
    size: int
    data_center: str = Field(alias="dataCenter")
    type: str = "STANDARD"


class BillingRecord(ApiModel):
    """The bill of one resource or of the account for one period, in USD; records are some hours late."""

    model_config = ConfigDict(frozen=True, extra="allow")

    total: float = Field(alias="totalAmount")
    start: str = Field(default="", alias="startTime")
    end: str = Field(default="", alias="endTime")

    @property
    def amounts(self) -> dict[str, float]:
        """The parts of the total, with RunPod's names."""
        parts = self.model_extra or {}
        return {name: float(usd) for name, usd in parts.items() if name.endswith("Amount")}

    @property
    def resource(self) -> str:
        """Id of the resource; empty in a record of the whole account."""
        return next((str(value) for name, value in (self.model_extra or {}).items() if name.endswith("Id")), "")


class SshKeys(ApiModel):
    """The account's SSH public keys."""

    keys: tuple[str, ...]


class Price(ApiModel):
    """USD per GPU and hour; 0 means not offered or not known."""

    secure: float = 0.0
    community: float = 0.0
    serverless: float = 0.0


class CpuPrice(ApiModel):
    """USD per vCPU and hour."""

    secure: float = Field(default=0.0, alias="securePerVcpu")
    serverless: float = Field(default=0.0, alias="serverlessPerVcpu")


class VcpuRange(ApiModel):
    """How many vCPUs a flavour may have; powers of two."""

    min: int
    max: int


class Stock(ApiModel):
    """Availability in a data centre: NONE, LOW, MEDIUM or HIGH."""

    id: str
    availability: str


class GpuType(ApiModel):
    """A GPU type in the catalogue."""

    id: str
    name: str
    pool: str | None = None
    memory: int
    secure: bool
    community: bool
    price: Price
    availability: str | None = None
    data_centers: tuple[Stock, ...] = Field(default=(), alias="dataCenters")

    def stock_in(self, data_center: str) -> str | None:
        """Return the stock level; None when the data centre does not offer this GPU."""
        return next((entry.availability for entry in self.data_centers if entry.id == data_center), None)


class CpuType(ApiModel):
    """A CPU flavour in the catalogue."""

    id: str
    name: str
    group: str
    vcpu: VcpuRange
    ram_gb_per_vcpu: float = Field(alias="ramGbPerVcpu")
    price: CpuPrice
    availability: str | None = None
    data_centers: tuple[Stock, ...] = Field(default=(), alias="dataCenters")

    def stock_in(self, data_center: str) -> str | None:
        """Return the stock level; None when the data centre does not offer this flavour."""
        return next((entry.availability for entry in self.data_centers if entry.id == data_center), None)


class DataCenter(ApiModel):
    """A data centre in the catalogue."""

    id: str
    name: str
    region: str
    network_volume_types: tuple[str, ...] = Field(default=(), alias="networkVolumeTypes")
    gpu_availability: tuple[Stock, ...] = Field(default=(), alias="gpuAvailability")
