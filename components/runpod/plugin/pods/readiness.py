"""Ready means ready: RUNNING, the container up, and every published port reachable from outside."""

from __future__ import annotations

from dataclasses import dataclass

from components.runpod.api.client import Client
from components.runpod.api.errors import NotFoundError, RunPodError
from components.runpod.api.models import Pod
from components.runpod.plugin.base.resource import Operation
from components.runpod.plugin.pods import gpu_watch
from components.runpod.plugin.pods.pod_spec import PodSpec

_FIRST_LOOK = 0.3
_SLOWEST_LOOK = 5.0
_SAY_EVERY = 5.0
_GRACE = 20.0
"""Seconds in which an answer may still be of the time before our call."""


class UnfitError(RunPodError):
    """The pod will not become ready by waiting."""


@dataclass
class _Progress:
    """What was said last, so that a line is printed on every change and otherwise every few seconds."""

    text: str = ""
    at: float = 0.0


class Readiness:
    """Waits for one pod."""

    def __init__(self, operation: Operation, client: Client, spec: PodSpec) -> None:
        self._operation = operation
        self._client = client
        self._spec = spec
        self._bound = operation.timeout or float(spec.ready_timeout)
        self._progress = _Progress()
        self.seen: Pod | None = None
        """The pod as it was last seen; None until then."""
        self.gpus_missing_since = ""
        """When it first showed fewer GPUs than it should have; empty while it shows them, or has not been seen."""
        self._few_since: float | None = None

    def wait(self, pod_id: str, before: Pod | None = None) -> Pod:
        """Return the pod once it is ready; raises UnfitError when it will not be, or not within the bound.

        `before` is the pod as it ran before a reset: what still shows that container does not count.
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
            raise UnfitError(f"pod {pod_id} is gone: RunPod does not know it any more; run `pulumi up` again") from None
        return self.seen

    def _missing(self, live: Pod, before: Pod | None, elapsed: float) -> str:
        """Say what is missing; empty when nothing is."""
        if live.status in {"EXITED", "ERROR", "TERMINATED"} and elapsed >= _GRACE:
            raise UnfitError(
                f"pod {live.id} is {live.status}: its container does not run. Look at its log (`make logs`), "
                "then run `pulumi up` again, or `pulumi destroy` to end it"
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
        """Say that GPUs are missing; raises UnfitError when they have been for the whole bound and both looks agree."""
        if not gpu_watch.shows_too_few(live, self._spec.gpu_count):
            self._few_since, self.gpus_missing_since = None, ""
            return ""
        now, bound = self._operation.clock(), self._operation.settings.gpu_missing_seconds
        if self._few_since is None:
            self._few_since, self.gpus_missing_since = now, gpu_watch.timestamp(self._operation)
        lasted = now - self._few_since
        if lasted >= bound and gpu_watch.is_confirmed(self._client, live.id):
            raise UnfitError(
                f"pod {live.id} shows {live.gpus_got} of {self._spec.gpu_count} GPUs for {lasted:.0f} s: others have "
                "taken them. It bills; `pulumi up` replaces it"
            )
        return f"its GPUs ({live.gpus_got} of {self._spec.gpu_count} shown, which is believed after {bound:.0f} s)"

    def _say(self, pod_id: str, live: Pod | None, missing: str, elapsed: float) -> None:
        status = live.status if live else "not listed yet"
        text = f"pod {pod_id} is {status}, waiting for {missing}"
        timed = f"{text} ({elapsed:.0f} of at most {self._bound:.0f} s)"
        if text != self._progress.text or elapsed - self._progress.at >= _SAY_EVERY:
            self._operation.reporter.status(timed)
            self._progress = _Progress(text, elapsed)

    def _too_slow(self, pod_id: str, live: Pod | None, missing: str, elapsed: float) -> str:
        cost = f" and bills {live.cost:.3f} USD/h" if live else ""
        return (
            f"pod {pod_id} exists{cost} but still lacks {missing} after {elapsed:.0f} s. Run `pulumi up` again to "
            "wait on, raise the bound (readyTimeoutSeconds), or run `pulumi destroy`. A container disk smaller than "
            "the image and a host whose driver is too old for the image's CUDA both look like this"
        )


def _shows_no_runtime(live: Pod, elapsed: float) -> bool:
    """Say whether a pod can be ready without `runtime`: RunPod may leave it empty for as long as a CPU pod lives."""
    return live.cpu is not None and (live.ssh.direct is not None or elapsed >= _GRACE)


def _restarted(before: Pod, live: Pod) -> bool:
    """Say whether this is another run of the container; a pod that was not running has just been started."""
    if before.runtime is None or live.runtime is None:
        return True
    return live.started_at != before.started_at or live.runtime.uptime < before.runtime.uptime
