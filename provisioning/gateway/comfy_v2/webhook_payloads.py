"""The bodies of webhook messages: the type, the time, and the job as the Comfy API v2 shows it."""

from __future__ import annotations

from dataclasses import dataclass

import orjson
from pydantic import BaseModel

from provisioning.gateway.batches.service import BatchService
from provisioning.gateway.core.http.schemas import iso_time
from provisioning.gateway.core.settings import GatewaySettings
from provisioning.gateway.jobs.job_documents import JobDocuments
from provisioning.gateway.jobs.ledger import Ledger
from provisioning.gateway.webhooks.event_types import EventType
from provisioning.gateway.webhooks.records import Delivery


@dataclass(frozen=True)
class PayloadRenderer:
    """Writes the bodies of messages."""

    ledger: Ledger
    batches: BatchService
    documents: JobDocuments
    settings: GatewaySettings

    async def render(self, delivery: Delivery) -> bytes | None:
        """Return a message's body; None when its job or batch is gone. Raises Problem."""
        data = await self._data(delivery)
        if data is None:
            return None
        return orjson.dumps({"type": delivery.type, "timestamp": iso_time(delivery.created_at), "data": data})

    async def _data(self, delivery: Delivery) -> dict[str, object] | None:
        if delivery.type == EventType.TEST:
            return {"message": "This webhook works."}
        document = await self._document(delivery)
        return None if document is None else document.model_dump(mode="json")

    async def _document(self, delivery: Delivery) -> BaseModel | None:
        subject = delivery.subject or ""
        if delivery.type == EventType.BATCH_FINISHED:
            batch = await self.batches.store.get(subject, delivery.owner)
            return None if batch is None else await self.batches.document(batch)
        row = await self.ledger.row(subject, delivery.owner)
        return None if row is None else await self.documents.of_ended(row, self._base())

    def _base(self) -> str:
        """Return the address of this gateway by its stack; a receiver has sent no request with a Host header."""
        named = [*self.settings.hosts, *sorted(self.settings.allowed_hosts)]
        return f"https://{named[0]}" if named else ""
