"""The streams of events."""

from __future__ import annotations

from provisioning.gateway.openapi.operation import EVENTS, Answer, Operation, Parameter, Tag
from provisioning.gateway.problems import Code

_ID = "b76e91ae1fde-17-1767225600000"

LAST_EVENT_ID = Parameter(
    "Last-Event-ID", "The `id` of the last event that was had: what came behind it is sent first.", _ID, "header"
)

_IN_QUERY = Parameter("last_event_id", "The same, for clients that cannot set a header.", _ID)
_TYPES = Parameter("types", "Which events, with commas between; all but `job_preview` when left out.", "job_status")

STREAMING = (Code.TOO_MANY_STREAMS, Code.DRAINING)

_TEXT = (
    "First `snapshot`: unfinished jobs, the pod's state, the cost, the installer. Then `job_status`, `job_progress` "
    "(with `percent`), `job_output`, `job_preview` (when asked for), `pod_status`, `cost_update` and `setup_progress` "
    "as they happen; an admin's are everybody's. Whoever comes back with the id of the last event it had is told what "
    "it missed; when that is no longer kept, or the gateway was started anew, it is told `reset`, a `snapshot` and how "
    "its jobs ended meanwhile. `end` says why the stream ends: `draining`, `too_slow`, `key_revoked`, `key_expired`."
)

EXAMPLE = (
    'id: b76e91ae1fde-17-1767225600000\nevent: job_progress\ndata: {"job_id":"0b8f6c1e-7a55-4d0e-9f7c-3f1c2a9d4e10",'
    '"percent":42.5,"value":0.425,"nodes_done":3,"nodes_total":7,"current_node":"3","current_node_class":"KSampler",'
    '"step":8,"steps":20,"message":"KSampler 8/20"}\n\n'
)

TABLE = {
    "GET /api/gateway/events": Operation(
        Tag.GATEWAY,
        "Follow everything of one's own",
        (Answer("Server-sent events until the client hangs up.", None, EXAMPLE, media=EVENTS),),
        _TEXT,
        (LAST_EVENT_ID, _IN_QUERY, _TYPES),
        problems=(Code.INVALID_REQUEST, *STREAMING),
    ),
    "GET /api/gateway/ws": Operation(
        Tag.GATEWAY,
        "Follow the same over a WebSocket",
        (Answer("The connection is a WebSocket now.", status=101, media=None),),
        'Each message is `{"id", "type", "data"}`, under the same ids as at `/api/gateway/events`, which may be opened '
        "as a WebSocket too.",
        (LAST_EVENT_ID, _IN_QUERY, _TYPES),
        problems=(Code.INVALID_REQUEST, Code.UPGRADE_REQUIRED, Code.ORIGIN_NOT_ALLOWED, *STREAMING),
    ),
}
