"""What every handler works with: handed in once, nothing global."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from provisioning.gateway.access.actor import Actor
from provisioning.gateway.access.keystore import KeyStore
from provisioning.gateway.access.limiter import Limiter
from provisioning.gateway.access.reception import Reception
from provisioning.gateway.access.scopes import Scope
from provisioning.gateway.clock import Clock
from provisioning.gateway.comfyui.catalogue import CatalogueCache
from provisioning.gateway.comfyui.commons import Commons
from provisioning.gateway.comfyui.feed import Feed
from provisioning.gateway.comfyui.realm import Realm, realm_of
from provisioning.gateway.comfyui.upstream import Upstream
from provisioning.gateway.events.channels import Channels
from provisioning.gateway.events.hub import Hub
from provisioning.gateway.events.streams import Streams
from provisioning.gateway.files.emptying import Emptying
from provisioning.gateway.files.placing import Placing
from provisioning.gateway.files.store import FileStore
from provisioning.gateway.files.workspace import Workspace
from provisioning.gateway.jobs.batches import BatchStore
from provisioning.gateway.jobs.canceller import Canceller
from provisioning.gateway.jobs.dispatch import Dispatch
from provisioning.gateway.jobs.handover import Handover
from provisioning.gateway.jobs.ledger import Ledger
from provisioning.gateway.jobs.scheduler import Scheduler
from provisioning.gateway.jobs.tracker import Tracker
from provisioning.gateway.jobs.warden import Warden
from provisioning.gateway.monitoring.gpu import Gpus
from provisioning.gateway.monitoring.metrics import Metrics
from provisioning.gateway.openapi.reference import Reference
from provisioning.gateway.pages.site import Site
from provisioning.gateway.problems import Code, Problem
from provisioning.gateway.quotas.accounting import Accounting
from provisioning.gateway.settings import GatewaySettings
from provisioning.gateway.storage.assets import AssetStore
from provisioning.gateway.storage.expiry import Expiry
from provisioning.gateway.storage.space import Space
from provisioning.gateway.telling.jobs import JobTeller
from provisioning.gateway.telling.news import News
from provisioning.gateway.webhooks.service import Webhooks


@dataclass
class Services:
    """The parts of one gateway."""

    settings: GatewaySettings
    keys: KeyStore
    limiter: Limiter
    reception: Reception
    ledger: Ledger
    assets: AssetStore
    batches: BatchStore
    expiry: Expiry
    files: FileStore | None
    """What keeps uploads and outputs on the volume; None where ComfyUI's own folders do."""
    placing: Placing
    workspace: Workspace
    emptying: Emptying
    upstream: Upstream
    clock: Clock
    space: Space
    catalogue: CatalogueCache
    commons: Commons
    hub: Hub
    channels: Channels
    streams: Streams
    tracker: Tracker
    dispatch: Dispatch
    scheduler: Scheduler
    canceller: Canceller
    warden: Warden
    feed: Feed
    teller: JobTeller
    news: News
    webhooks: Webhooks
    started_at: int
    """When the pod's container started, in milliseconds since the epoch: from then on it costs."""
    reference: Reference
    site: Site
    metrics: Metrics
    accounting: Accounting
    handover: Handover
    takes_signatures: Callable[[str], bool]
    """Whether a path is a file's, which a signed address may open."""
    pages: Mapping[str, Scope | None]
    """The web pages there are, and the scope that each needs."""
    gpus: Gpus = field(default_factory=Gpus)
    draining: bool = False
    probed_at: float = float("-inf")
    """When it was last tried whether the database can be written, by the monotonic clock."""
    writable: bool = False

    def realm(self, actor: Actor) -> Realm:
        """Return the realm of the caller's files."""
        return realm_of(self.settings.pepper.get_secret_value(), actor.owner, admin=actor.is_admin)

    def check_not_draining(self) -> None:
        """Refuse new work while shutting down, or once another gateway has taken over; raises Problem."""
        self.handover.check()
        if self.draining:
            raise Problem(Code.DRAINING)


def visible_owner(actor: Actor) -> str | None:
    """Return whose things the caller may see; None means everybody's."""
    return None if actor.sees_all else actor.owner
