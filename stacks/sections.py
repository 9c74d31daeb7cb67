"""The sections of a stack file, `stacks/Pulumi.<environment>.yaml`, as frozen models that refuse unknown keys.

Keys are written in camelCase in the file; the string under each field is its documentation.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Self
from urllib.parse import parse_qsl, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator
from pydantic.alias_generators import to_camel

from components.naming import LOOPBACK_HOSTS
from components.placement import Tier
from provisioning.contract.gateway_options import Options


class Cloud(StrEnum):
    """RunPod's clouds. Only Secure Cloud has network volumes, and every environment has one."""

    SECURE = "SECURE"


class Replace(StrEnum):
    """The order in which a pod is replaced."""

    BEFORE = "before"
    """The old pod is deleted first: two GPUs are never billed, and the service is down meanwhile."""
    AFTER = "after"
    """The new pod is created first: two GPUs are billed for some minutes, and a scarce GPU may not be available
    twice."""


class UnknownHashes(StrEnum):
    """How a model without a recorded SHA-256 is treated."""

    WARN = "warn"
    REFUSE = "refuse"


class Section(BaseModel):
    """Base of all sections: frozen, camelCase, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, use_attribute_docstrings=True)


_CREDENTIAL = re.compile(r"token|key|secret|password|auth|signature|credential", re.IGNORECASE)
"""Names of query parameters that usually contain a credential."""


def _without_credential(url: str) -> str:
    # Addresses are in plain text in the state, in records on the volume, and in the process list while git runs.
    parts = urlsplit(url)
    named = any(_CREDENTIAL.search(name) for name, _ in parse_qsl(parts.query, keep_blank_values=True))
    if parts.username is not None or named:
        raise ValueError(
            "holds a credential, which would be in the state in plain text; take it out, and set tokens.* instead"
        )
    return url


def _encrypted_or_loopback(url: str) -> str:
    parts = urlsplit(url)
    if url and parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK_HOSTS):
        raise ValueError("must begin with https:// (http:// is allowed for the loopback address only)")
    return url


Url = Annotated[str, AfterValidator(_without_credential), AfterValidator(_encrypted_or_loopback)]
Commit = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
DataCenter = Annotated[str, Field(pattern=r"^[A-Z]{2,4}-[A-Z]{2,3}-[0-9]+$")]
# RunPod accepts lower case and fails later, so upper case is required here.


class WhenStopped(StrEnum):
    """What an update does with a stopped pod."""

    START = "start"
    """Start it again on its machine, if a GPU is available there."""
    REPLACE = "replace"
    """Replace it with a pod on another machine with an available GPU; the volume stays."""


class IsolationChoice(StrEnum):
    """What keeps ComfyUI and custom nodes away from the volume and the gateway's folders."""

    AUTO = "auto"
    """Landlock; on a host without it the closed folder; `up` stops when neither works."""
    FOLDER = "folder"
    """The volume is mounted below a closed folder, and models are copied to the container disk."""
    NONE = "none"
    """As `auto`, but `up` continues when neither works."""


class PodSection(Section):
    """The pod: image, disk, time-outs and replacement."""

    image: str = Field(min_length=1)
    """Docker image with CUDA; its start command is replaced by the boot script."""
    torch: str = Field(pattern=r"^[0-9]+\.[0-9]+(\.[0-9]+)?$")
    """Version of PyTorch in that image; at least 2.6, the first that opens models safely."""
    disk_gb: int = Field(ge=30, le=500)
    """Container disk in GB, lost at every stop. Below 30 GB the usual images do not fit and the pod never starts."""
    replace: Replace = Replace.BEFORE
    """When a replaced pod is deleted: `before` or `after` the new one is created. `after` bills two pods for a
    while."""
    when_stopped: WhenStopped = WhenStopped.START
    """What an update does with a stopped pod: `start` it again, or `replace` it."""
    ready_timeout_seconds: int = Field(default=1200, ge=60, le=3600)
    """Time until SSH must answer on a new pod."""
    install_timeout_seconds: int = Field(default=3600, ge=300, le=86400)
    """Time that an installation may make no progress; a running download counts as progress."""
    isolation: IsolationChoice = IsolationChoice.AUTO
    """How custom nodes are kept away from the volume: `auto` uses Landlock or else the closed folder, `none` accepts
    that nothing does."""
    min_cuda_version: str = Field(default="", pattern=r"^([0-9]+\.[0-9]+)?$")
    """Oldest CUDA version of the host's driver, for example 12.8; empty means any."""


class Requires(Section):
    """GPU capabilities, instead of names."""

    min_vram_gb: int = Field(ge=1, le=1024)
    """Memory of one GPU in GB, at least."""
    max_price_per_hour: float = Field(gt=0)
    """Price of the whole pod in USD per hour, at most."""
    cloud: Cloud = Cloud.SECURE
    """RunPod's cloud; only SECURE has network volumes."""
    tiers: tuple[Tier, ...] = ()
    """RunPod's price tiers to consider; empty means all."""
    exclude: tuple[str, ...] = ()
    """GPU ids to leave out."""


class GpuSection(Section):
    """The GPU, by ranked names or by capabilities."""

    candidates: tuple[str, ...] = ()
    """GPU ids as RunPod lists them, best first; the first one in stock is rented."""
    require: Requires | None = None
    """Required capabilities; of the GPUs that have them, the cheapest comes first."""
    count: int = Field(default=1, ge=1, le=8)
    """GPUs in the pod."""

    @model_validator(mode="after")
    def _one_way_to_choose(self) -> Self:
        if bool(self.candidates) == (self.require is not None):
            raise ValueError("give either candidates or require")
        return self


class VolumeSection(Section):
    """The network volume with models, installed software, outputs and the database's log."""

    size_gb: int | None = Field(default=None, ge=10, le=4096)
    """Size in GB; by default computed from the models and reserveGb. It can grow and never shrink."""
    reserve_gb: int = Field(default=20, ge=2, le=2000)
    """Space in GB for software, inputs and outputs, in addition to the models."""
    keep: bool = False
    """Whether `destroy` keeps the volume, which is then still billed; use it again with `id`."""
    protect: bool = False
    """Whether Pulumi refuses every plan that deletes or replaces the volume, `destroy` included. To delete it, set
    this to false and run `up` first."""
    replace: str = ""
    """Id of this environment's volume, to allow an update to replace it; its content is lost then."""
    id: str = ""
    """Id of an existing volume to use; dataCenters must then contain its data centre only."""


class ComfySection(Section):
    """ComfyUI's source at one commit."""

    repository: Url = Field(min_length=1)
    """Git repository, by https (or http on the loopback address)."""
    ref: str = Field(min_length=1)
    """Release tag, at least v0.28.0."""
    commit: Commit
    """The tag's commit, forty hexadecimal digits; this is what is checked out."""
    requirements: str = Field(min_length=1)
    """Path of a hash-locked requirements file, from the checkout's root."""
    args: tuple[str, ...] = ()
    """Additional arguments of ComfyUI's main.py."""


class NodeSection(Section):
    """A custom node at one commit."""

    name: Name
    """Folder below custom_nodes."""
    repository: Url = ""
    """Git repository; may be empty only when optional."""
    ref: str = ""
    """Branch or tag, for information."""
    commit: Annotated[str, Field(pattern=r"^([0-9a-f]{40})?$")] = ""
    """Commit, forty hexadecimal digits; may be empty only when optional."""
    requirements: str = ""
    """Path of a hash-locked requirements file, from the checkout's root; empty when the node needs no packages."""
    optional: bool = False
    """Whether the environment is created without the node while it has no repository."""

    @model_validator(mode="after")
    def _complete_or_optional(self) -> Self:
        if not self.optional and not (self.repository and self.commit):
            raise ValueError(f"{self.name}: give repository and commit, or mark it optional: true")
        return self


class ModelSection(Section):
    """A model file."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*\.(safetensors|gguf)$")]
    """File name, ending in .safetensors or .gguf; other formats can run code when they are loaded."""
    folder: Name
    """ComfyUI's folder below models/, for example diffusion_models, text_encoders, vae, loras."""
    url: Url = ""
    """Download address; may be empty only when optional."""
    sha256: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""
    """SHA-256, enforced from the first download on; without it `make lock` records the hash of the first download."""
    size_bytes: int = Field(default=0, ge=0)
    """Exact size in bytes, enforced; 0 when unknown."""
    approx_gb: float = Field(default=0, ge=0)
    """Approximate size in GB, for the volume's size when sizeBytes is unknown."""
    license: str = ""
    """Licence, for information."""
    optional: bool = False
    """Whether the environment is created without the model while it has no url."""

    @model_validator(mode="after")
    def _complete_or_optional(self) -> Self:
        if not self.url and not self.optional:
            raise ValueError(f"{self.name}: give url, or mark it optional: true")
        if self.url and not (self.size_bytes or self.approx_gb):
            raise ValueError(f"{self.name}: give sizeBytes or approxGb, so that the volume can be sized")
        return self


class GatewaySection(Options):
    """The gateway: host names, limits, quotas, webhooks, retention."""

    model_config = ConfigDict(validate_by_name=False, validate_by_alias=True)


class BudgetSection(Section):
    """Limit on the environment's cost."""

    max_per_hour: float = Field(gt=0)
    """USD per hour with everything running; a plan whose most expensive candidate exceeds it is refused."""


class NotifySection(Section):
    """Receivers of the gateway's address, which `make up`, `make resume` and `make pause` change.

    A failed notification is reported and does not fail the command.
    """

    command: str = ""
    """Shell command, run in the checkout with the variables COMFYUI_GATEWAY_URL, COMFYUI_POD_ID,
    COMFYUI_ENVIRONMENT and COMFYUI_EVENT."""
    url: Url = ""
    """Address that receives a POST by the Standard Webhooks scheme, signed with `tokens.notify`."""


class TokensSection(Section):
    """Secrets for downloads, the gateway's database and signatures.

    Set them with `pulumi config set --secret --path 'comfyui-runpod:tokens.<name>'`.
    """

    hugging_face: SecretStr = SecretStr("")
    """Token for gated Hugging Face repositories."""
    civitai: SecretStr = SecretStr("")
    """Civitai API key."""
    notify: SecretStr = SecretStr("")
    """Secret that signs the notifications to `notify.url`: `whsec_` and 24 to 64 bytes in base64."""
    gateway_database: SecretStr = SecretStr("")
    """URL of a PostgreSQL database (postgresql+psycopg://...) that outlives the pods; only the newest gateway
    writes to it."""
