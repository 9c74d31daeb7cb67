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

from components.placement import Tier
from provisioning.gateway.options import Options

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class Cloud(StrEnum):
    """RunPod's clouds. Only Secure Cloud has network volumes, and every environment has one."""

    SECURE = "SECURE"


class Replace(StrEnum):
    """The order when a pod has to be replaced."""

    BEFORE = "before"
    """The old pod ends first: never two GPUs bill, and the service is away meanwhile."""
    AFTER = "after"
    """The new pod comes first: two GPUs bill for some minutes, and a scarce GPU may not be found twice."""


class UnknownHashes(StrEnum):
    """What happens to a model whose SHA-256 nobody recorded yet."""

    WARN = "warn"
    REFUSE = "refuse"


class Section(BaseModel):
    """What all sections share: frozen, camelCase, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel)


_CREDENTIAL = re.compile(r"token|key|secret|password|auth|signature|credential", re.IGNORECASE)
"""Names of query parameters that hold what is nobody's business."""


def _without_credential(url: str) -> str:
    # An address lies in the state and in records on the volume in clear, and git shows it in the list of processes.
    parts = urlsplit(url)
    named = any(_CREDENTIAL.search(name) for name, _ in parse_qsl(parts.query, keep_blank_values=True))
    if parts.username is not None or named:
        raise ValueError(
            "holds a credential, which would lie in the state in clear; take it out, and set tokens.* instead"
        )
    return url


def _encrypted_or_loopback(url: str) -> str:
    parts = urlsplit(url)
    if url and parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
        raise ValueError("must begin with https:// (http:// is for the loopback address alone)")
    return url


Url = Annotated[str, AfterValidator(_without_credential), AfterValidator(_encrypted_or_loopback)]
Commit = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
DataCenter = Annotated[str, Field(pattern=r"^[A-Z]{2,4}-[A-Z]{2,3}-[0-9]+$")]
# RunPod accepts lower case and breaks later, so upper case is asked for here.


class WhenStopped(StrEnum):
    """What an update does about a pod that somebody stopped."""

    START = "start"
    """It is started again on its own machine, if a GPU is free there."""
    REPLACE = "replace"
    """Another one is placed wherever a GPU can be had; the volume stays."""


class IsolationChoice(StrEnum):
    """What keeps ComfyUI, and so custom nodes, out of the volume and of the gateway's folders."""

    AUTO = "auto"
    """The kernel's Landlock; where a host has none, the closed folder; where that does not fit either, `up` stops."""
    FOLDER = "folder"
    """The folder that the volume is mounted in is closed, and models are copied to the container disk."""
    NONE = "none"
    """As `auto`, and `up` goes on where nothing isolates."""


class PodSection(Section):
    """The machine."""

    image: str = Field(min_length=1)
    """Docker image with CUDA; the start command is ours, not the image's."""
    torch: str = Field(pattern=r"^[0-9]+\.[0-9]+(\.[0-9]+)?$")
    """Version of PyTorch in that image: models are opened by it, and 2.6 is the first that opens them safely."""
    disk_gb: int = Field(ge=30, le=500)
    """Container disk in GB, lost at every stop. Below 30 the usual images do not fit and the pod never starts."""
    replace: Replace = Replace.BEFORE
    """`before` or `after`: whether the old pod ends before the new one comes."""
    when_stopped: WhenStopped = WhenStopped.START
    """`start` or `replace`: what an update does about a pod that somebody stopped."""
    ready_timeout_seconds: int = Field(default=1200, ge=60, le=3600)
    """How long a new pod may take until SSH answers."""
    install_timeout_seconds: int = Field(default=3600, ge=300, le=86400)
    """How long an installation may go without progress; while models arrive it may take as long as they need."""
    isolation: IsolationChoice = IsolationChoice.AUTO
    """`auto`, `folder` or `none`: what keeps custom nodes out of what lies on the volume."""
    min_cuda_version: str = Field(default="", pattern=r"^([0-9]+\.[0-9]+)?$")
    """Oldest CUDA version of the host's driver, for example 12.8; empty means any."""


class Requires(Section):
    """Capabilities instead of names."""

    min_vram_gb: int = Field(ge=1, le=1024)
    """Memory of one GPU in GB."""
    max_price_per_hour: float = Field(gt=0)
    """USD per hour of the whole pod."""
    cloud: Cloud = Cloud.SECURE
    """SECURE, the only cloud with network volumes."""
    tiers: tuple[Tier, ...] = ()
    """Budget, Mid, High, Premium; empty means all."""
    exclude: tuple[str, ...] = ()
    """GPU ids never to take."""


class GpuSection(Section):
    """Which GPU: ranked names, or a requirement."""

    candidates: tuple[str, ...] = ()
    """GPU ids as RunPod lists them, best first; the first one in stock is taken."""
    require: Requires | None = None
    """Capabilities, resolved against the catalogue; cheapest first."""
    count: int = Field(default=1, ge=1, le=8)
    """GPUs in the pod."""

    @model_validator(mode="after")
    def _one_way_to_choose(self) -> Self:
        if bool(self.candidates) == (self.require is not None):
            raise ValueError("give either candidates or require")
        return self


class VolumeSection(Section):
    """The network volume: models and everything installed live here."""

    size_gb: int | None = Field(default=None, ge=10, le=4096)
    """Size in GB; absent means computed from the models plus reserveGb. It can grow, never shrink."""
    reserve_gb: int = Field(default=20, ge=2, le=2000)
    """Room for software, inputs and outputs beside the models, in GB."""
    keep: bool = False
    """Whether `destroy` leaves the volume, which then bills on; take it up again with `id`."""
    protect: bool = False
    """Whether every plan that deletes or replaces the volume is refused, `destroy` too, until this is false and `up`
    has run."""
    replace: str = ""
    """Id of this environment's volume, to say that an update may replace it and that its content is lost then."""
    id: str = ""
    """An existing volume to use instead of making one; its data centre is then the only one in dataCenters."""


class ComfySection(Section):
    """ComfyUI itself, at one commit."""

    repository: Url = Field(min_length=1)
    """Git repository, https (or http on the loopback address)."""
    ref: str = Field(min_length=1)
    """Release tag a person chose, at least v0.28.0."""
    commit: Commit
    """The forty digits the tag resolved to; this is what is checked out."""
    requirements: str = Field(min_length=1)
    """Hash-locked requirements file, path from the checkout's root."""
    args: tuple[str, ...] = ()
    """Further arguments for ComfyUI's main.py."""


class NodeSection(Section):
    """A custom node at one commit."""

    name: Name
    """Folder below custom_nodes."""
    repository: Url = ""
    """Git repository; may be empty only when optional."""
    ref: str = ""
    """Branch or tag, for people."""
    commit: Annotated[str, Field(pattern=r"^([0-9a-f]{40})?$")] = ""
    """Forty digits; may be empty only when optional."""
    requirements: str = ""
    """Hash-locked requirements file, path from the checkout's root; empty when the node needs nothing."""
    optional: bool = False
    """Whether the environment comes up without it while it has no repository."""

    @model_validator(mode="after")
    def _complete_or_optional(self) -> Self:
        if not self.optional and not (self.repository and self.commit):
            raise ValueError(f"{self.name}: give repository and commit, or mark it optional: true")
        return self


class ModelSection(Section):
    """A model file."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*\.(safetensors|gguf)$")]
    """File name, ending in .safetensors or .gguf: other formats can run code when they are loaded."""
    folder: Name
    """ComfyUI's folder below models/, for example diffusion_models, text_encoders, vae, loras."""
    url: Url = ""
    """Where it comes from; may be empty only when optional."""
    sha256: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""
    """Known hash, enforced at once; without it `make lock` records the one of the first download."""
    size_bytes: int = Field(default=0, ge=0)
    """Exact size, enforced; 0 when not known."""
    approx_gb: float = Field(default=0, ge=0)
    """Rough size for sizing the volume when sizeBytes is not known."""
    license: str = ""
    """Licence note for people."""
    optional: bool = False
    """Whether the environment comes up without it while it has no url."""

    @model_validator(mode="after")
    def _complete_or_optional(self) -> Self:
        if not self.url and not self.optional:
            raise ValueError(f"{self.name}: give url, or mark it optional: true")
        if self.url and not (self.size_bytes or self.approx_gb):
            raise ValueError(f"{self.name}: give sizeBytes or approxGb, so that the volume can be sized")
        return self


class GatewaySection(Options):
    """The only door; see Options for what can be set."""

    model_config = ConfigDict(validate_by_name=False, validate_by_alias=True)


class BudgetSection(Section):
    """What the environment may cost."""

    max_per_hour: float = Field(gt=0)
    """USD per hour with everything running; a plan whose dearest candidate is above it is refused."""


class NotifySection(Section):
    """Who is told the gateway's address after `make up`, `make resume` and `make pause`: it changes with the pod.

    A failure is said and does not make the command fail.
    """

    command: str = ""
    """Shell command, run in the checkout; COMFYUI_GATEWAY_URL, _POD_ID, _ENVIRONMENT and _EVENT are its variables."""
    url: Url = ""
    """Address that gets a POST by the Standard Webhooks scheme, signed with `tokens.notify`."""


class TokensSection(Section):
    """Secrets for downloads, for the gateway's database and for what is signed.

    Set them with `pulumi config set --secret --path 'comfyui-runpod:tokens.<name>'`.
    """

    hugging_face: SecretStr = SecretStr("")
    """Token for gated Hugging Face repositories."""
    civitai: SecretStr = SecretStr("")
    """Civitai API key."""
    notify: SecretStr = SecretStr("")
    """Secret that signs what is posted to `notify.url`: `whsec_` and 24 to 64 bytes in base64."""
    gateway_database: SecretStr = SecretStr("")
    """URL of a PostgreSQL (postgresql+psycopg://...) that outlives the pods; the newest gateway alone works with it."""
