"""Errors of API calls, by what the caller has to do. No message contains a key."""

from __future__ import annotations

from collections.abc import Sequence


class RunPodError(Exception):
    """An error that ends an operation; its message contains the fault, its place and a remedy."""


class StoppedError(RunPodError):
    """The engine requested a stop (Ctrl-C); no further call was sent."""


class CallError(RunPodError):
    """A failed call."""

    advice = ""

    def __init__(self, call: str, detail: str, errors: Sequence[str] = ()) -> None:
        self.call = call
        self.detail = detail
        self.errors = tuple(errors)
        super().__init__(self._text())

    def _text(self) -> str:
        reasons = f" ({'; '.join(self.errors)})" if self.errors else ""
        advice = f" {self.advice}" if self.advice else ""
        return f"{self.call}: {self.detail.rstrip('.')}{reasons}.{advice}"


class UnreachableError(CallError):
    """No connection was made, so the call had no effect."""

    advice = (
        "Nothing was sent. Check this machine's network (VPN, name server, proxy) and runpod:apiUrl; "
        "for the local environment, start the emulator (`make up` does)."
    )


class LostAnswerError(CallError):
    """The call was sent and its effect is unknown."""


class BadRequestError(CallError):
    """400: the request breaks a rule, or there is no stock; RunPod does not distinguish the two."""


class UnauthorizedError(CallError):
    """401."""

    advice = (
        "The API key is missing, wrong or revoked: set it with `pulumi config set --secret runpod:apiKey`. "
        "`refresh` and `destroy` use the key of the last `up`; after a rotation run "
        "`pulumi refresh --run-program` first (`make` does)."
    )


class PaymentRequiredError(CallError):
    """402."""

    advice = "The account's balance is too low: add credit at https://console.runpod.io/user/billing."


class AccessDeniedError(CallError):
    """403."""

    advice = "The API key lacks the permission: give it read and write access to pods and storage."


class BlockedError(CallError):
    """403 from the firewall in front of the API, not from RunPod."""

    advice = "The firewall in front of the API refused the caller; try from another address."


class NotFoundError(CallError):
    """404 in RunPod's own form: this id does not exist."""

    advice = (
        "It was deleted outside of this stack, or the API key belongs to another account. "
        "If the key is right, `pulumi up --refresh` creates it again."
    )


class NotRunPodError(CallError):
    """An answer that is not RunPod's, such as a web server's `404 page not found`."""

    advice = "The server at this address is not RunPod's API v2: check runpod:apiUrl."


class ConflictError(CallError):
    """409: not allowed in the current status."""


class ValidationFailedError(CallError):
    """422: a retry cannot succeed."""

    advice = "RunPod does not accept the request in this form; change the input it names."


class RateLimitedError(CallError):
    """429, after all retries."""

    advice = "Too many calls with this key; wait and try again."


class ServerError(CallError):
    """5xx, after all retries."""

    advice = "RunPod has an internal error; try again later."


BY_STATUS: dict[int, type[CallError]] = {
    400: BadRequestError,
    401: UnauthorizedError,
    402: PaymentRequiredError,
    403: AccessDeniedError,
    404: NotFoundError,
    409: ConflictError,
    422: ValidationFailedError,
    429: RateLimitedError,
}
