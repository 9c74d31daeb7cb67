"""The bodies of webhook messages: type, time, and the job in the form of the Comfy API v2."""

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
from provisioning.gateway.webhooks.records import DeliveryRecord


@dataclass(frozen=True)
class PayloadRenderer:
    """Renders the bodies of messages."""

    ledger: Ledger
    batches: BatchService
    documents: JobDocuments
    settings: GatewaySettings

    async def render(self, delivery: DeliveryRecord) -> bytes | None:
        """Return a message's body; None when its job or batch no longer exists. Raises Problem."""
        data = await self._data(delivery)
        if data is None:
            return None
        return orjson.dumps({"type": delivery.type, "timestamp": iso_time(delivery.created_at), "data": data})

    async def _data(self, delivery: DeliveryRecord) -> dict[str, object] | None:
        if delivery.type == EventType.TEST:
            return {"message": "This webhook works."}
        document = await self._document(delivery)
        return None if document is None else document.model_dump(mode="json")

    async def _document(self, delivery: DeliveryRecord) -> BaseModel | None:
        subject = delivery.subject or ""
        if delivery.type == EventType.BATCH_FINISHED:
            batch = await self.batches.store.get(subject, delivery.owner)
            return None if batch is None else await self.batches.document(batch)
        row = await self.ledger.row(subject, delivery.owner)
        return None if row is None else await self.documents.of_ended(row, self._base())

    def _base(self) -> str:
        """Return the gateway's URL from the settings, since there is no request with a Host header."""
        named = [*self.settings.hosts, *sorted(self.settings.allowed_hosts)]
        return f"https://{named[0]}" if named else ""
