"""What may be said in the bodies of requests about keys, users and logins."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, SecretStr, StringConstraints

from provisioning.gateway.access.allowance import NOTHING, Allowance
from provisioning.gateway.access.passwords import MAX_LENGTH, MIN_LENGTH
from provisioning.gateway.access.scopes import Role, Scope
from provisioning.gateway.access.signatures import MAX_SECONDS

DAY_SECONDS = 86_400
MAX_OVERLAP_SECONDS = 30 * DAY_SECONDS

UserName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}$")]
KeyName = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,100}$")]
Scopes = Annotated[frozenset[Scope], Field(min_length=1)]
Label = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
LabelValue = Annotated[str, StringConstraints(max_length=256)]
Labels = Annotated[dict[Label, LabelValue], Field(max_length=32)]
NewPassword = Annotated[SecretStr, Field(min_length=MIN_LENGTH, max_length=MAX_LENGTH)]
AnyPassword = Annotated[SecretStr, Field(max_length=MAX_LENGTH)]


class Order(BaseModel):
    """A body; a member that it does not know is an error, since it may be a typing mistake for one that it does."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True, defer_build=True
    )


class NewKey(Order):
    """A key to be issued."""

    name: KeyName
    """What it is for."""
    scopes: Scopes = frozenset({Scope.CLIENT})
    owner: UserName | None = None
    """The user whose jobs and files it sees; left out: the caller's, and for an admin nobody's but its own."""
    expires_at: AwareDatetime | None = None
    limits: Allowance = NOTHING
    labels: Labels = Field(default_factory=dict)


class KeyChange(Order):
    """What is to be different about a key; what is left out stays."""

    # Factories, since a default in the reference would tell what happens to a member that is left out: nothing.
    name: KeyName = Field(default_factory=str)
    scopes: Scopes = Field(default_factory=frozenset)
    owner: UserName = Field(default_factory=str)
    expires_at: AwareDatetime | None = Field(default_factory=lambda: None)
    """null: never."""
    limits: Allowance = Field(default_factory=Allowance)
    labels: Labels = Field(default_factory=dict)


class Rotation(Order):
    """A new secret for a key."""

    overlap_seconds: Annotated[int, Field(ge=0, le=MAX_OVERLAP_SECONDS)] = DAY_SECONDS
    """How long the former secret opens as well; 0 ends it at once."""


class NewUser(Order):
    """A user to be made."""

    name: UserName
    role: Role = Role.MEMBER
    password: NewPassword | None = None
    """Without one the user has keys alone."""
    limits: Allowance = NOTHING
    labels: Labels = Field(default_factory=dict)


class UserChange(Order):
    """What is to be different about a user; what is left out stays."""

    role: Role = Field(default_factory=lambda: Role.VIEWER)
    password: NewPassword | None = Field(default_factory=lambda: None)
    """null: no login by password any more."""
    disabled: bool = Field(default_factory=bool)
    limits: Allowance = Field(default_factory=Allowance)
    labels: Labels = Field(default_factory=dict)


class Login(Order):
    """Who logs in."""

    user: Annotated[str, Field(max_length=64)]
    password: AnyPassword


class PasswordChange(Order):
    """A new password of one's own."""

    current: AnyPassword
    new: NewPassword


class TicketOrder(Order):
    """What a ticket is to open."""

    path: Annotated[str, StringConstraints(pattern=r"^/[^?#\s]{0,1023}$")]
    """Without the query."""
    method: Literal["GET"] = "GET"


class SignatureOrder(Order):
    """An address to be signed."""

    url: Annotated[str, StringConstraints(pattern=r"^(https?://[^/?#\s]{1,255})?/[^#\s]{0,2047}$")]
    """Of a file, relative or whole: `/api/v2/assets/{id}/content`, `/view?filename=...`, or as `outputs` say it."""
    seconds: Annotated[int, Field(ge=1, le=MAX_SECONDS)] = 300
