"""Readiness of a pod: RUNNING, the container up, and every published port with a public address."""

from __future__ import annotations

from dataclasses import dataclass

from components.runpod.api.client import Client
from components.runpod.api.errors import NotFoundError, RunPodError
from components.runpod.api.models import Pod
from components.runpod.plugin.base.resource import ProviderOperation
from components.runpod.plugin.pods import gpu_watch
from components.runpod.plugin.pods.pod_spec import PodSpec

_FIRST_LOOK = 0.3
_SLOWEST_LOOK = 5.0
_SAY_EVERY = 5.0
_GRACE = 20.0
"""Seconds in which an answer may still describe the pod before the call."""


class UnfitError(RunPodError):
    """The pod will not become ready."""


@dataclass
class _Progress:
    """The last printed line, so that a line is printed on every change and otherwise every few seconds."""

    text: str = ""
    at: float = 0.0


class PodReadiness:
    """Waits until a pod is ready."""

    def __init__(self, operation: ProviderOperation, client: Client, spec: PodSpec) -> None:
        self._operation = operation
        self._client = client
        self._spec = spec
        self._bound = operation.timeout or float(spec.ready_timeout)
        self._progress = _Progress()
        self.seen: Pod | None = None
        """The last observed pod; None before the first answer."""
        self.gpus_missing_since = ""
        """When it first showed fewer GPUs than requested; empty otherwise."""
        self._few_since: float | None = None

    def wait(self, pod_id: str, before: Pod | None = None) -> Pod:
        """Return the pod once it is ready; raises UnfitError when it cannot become ready or after the time limit.

        `before` is the pod before a reset: an answer that still shows its container does not count.
        """
        started = self._operation.clock()
        pause = _FIRST_LOOK
        while True:
            elapsed = self._operation.clock() - started
            live = self._look(pod_id, elapsed)
            missing = "an entry in RunPod's list" if live is None else self._missing(live, before, elapsed)
            if live is not None and not missing:
                return live
            if elapsed >= self._bound:
                raise UnfitError(self._too_slow(pod_id, live, missing, elapsed))
            self._say(pod_id, live, missing, elapsed)
            self._operation.sleep(pause)
            pause = min(_SLOWEST_LOOK, pause * 1.4)

    def _look(self, pod_id: str, elapsed: float) -> Pod | None:
        try:
            self.seen = self._client.get_pod(pod_id)
        except NotFoundError:
            if elapsed < _GRACE:
                return None
            raise UnfitError(f"pod {pod_id} no longer exists at RunPod; run `pulumi up` again") from None
        return self.seen

    def _missing(self, live: Pod, before: Pod | None, elapsed: float) -> str:
        """Return what is missing; empty when nothing is."""
        if live.status in {"EXITED", "ERROR", "TERMINATED"} and elapsed >= _GRACE:
            raise UnfitError(
                f"pod {live.id} is {live.status}: its container does not run. Read its log (`make logs`), "
                "then run `pulumi up` again, or `pulumi destroy` to delete it"
            )
        if live.status != "RUNNING":
            return "the status RUNNING"
        if live.runtime is None and not _shows_no_runtime(live, elapsed):
            return "a running container"
        if before is not None and elapsed < _GRACE and not _restarted(before, live):
            return "a restarted container"
        return self._missing_parts(live)

    def _missing_parts(self, live: Pod) -> str:
        if lacking := self._missing_gpus(live):
            return lacking
        if self._spec.wants_ssh and live.ssh.direct is None:
            return "a public port for SSH"
        mapped = {port.private for port in (live.runtime.ports if live.runtime else None) or ()}
        unmapped = [str(port) for port in self._spec.http_ports if port not in mapped]
        if unmapped and "{publicPort}" in self._operation.settings.proxy_url_template:
            return f"a public port for {', '.join(unmapped)}"
        return ""

    def _missing_gpus(self, live: Pod) -> str:
        """Return that GPUs are missing; raises UnfitError when both answers show it after the whole time limit."""
        if not gpu_watch.shows_too_few(live, self._spec.gpu_count):
            self._few_since, self.gpus_missing_since = None, ""
            return ""
        now, bound = self._operation.clock(), self._operation.settings.gpu_missing_seconds
        if self._few_since is None:
            self._few_since, self.gpus_missing_since = now, gpu_watch.timestamp(self._operation)
        lasted = now - self._few_since
        if lasted >= bound and gpu_watch.is_confirmed(self._client, live.id):
            raise UnfitError(
                f"pod {live.id} shows {live.gpus_got} of {self._spec.gpu_count} GPUs for {lasted:.0f} s: other pods "
                "have taken them. It is billed; `pulumi up` replaces it"
            )
        return f"its GPUs ({live.gpus_got} of {self._spec.gpu_count} shown; it is replaced after {bound:.0f} s)"

    def _say(self, pod_id: str, live: Pod | None, missing: str, elapsed: float) -> None:
        status = live.status if live else "not listed yet"
        text = f"pod {pod_id} is {status}, waiting for {missing}"
        timed = f"{text} ({elapsed:.0f} of at most {self._bound:.0f} s)"
        if text != self._progress.text or elapsed - self._progress.at >= _SAY_EVERY:
            self._operation.reporter.status(timed)
            self._progress = _Progress(text, elapsed)

    def _too_slow(self, pod_id: str, live: Pod | None, missing: str, elapsed: float) -> str:
        cost = f" and costs {live.cost:.3f} USD/h" if live else ""
        return (
            f"pod {pod_id} exists{cost} but still lacks {missing} after {elapsed:.0f} s. Run `pulumi up` again to "
            "wait longer, raise readyTimeoutSeconds, or run `pulumi destroy`. A container disk smaller than "
            "the image and a host whose driver is too old for the image's CUDA both look like this"
        )


def _shows_no_runtime(live: Pod, elapsed: float) -> bool:
    """Return whether a pod can be ready without `runtime`: RunPod may leave it empty for a CPU pod."""
    return live.cpu is not None and (live.ssh.direct is not None or elapsed >= _GRACE)


def _restarted(before: Pod, live: Pod) -> bool:
    """Return whether the container has restarted; true for a pod that was not running before."""
    if before.runtime is None or live.runtime is None:
        return True
    return live.started_at != before.started_at or live.runtime.uptime < before.runtime.uptime
