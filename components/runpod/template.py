"""A template: a preset of container settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Required, TypedDict, Unpack

import pulumi

from components.runpod.binding import Resource, declared, secret_env, with_secrets


class TemplateInputs(TypedDict, total=False):
    """Inputs of a template; all but `guard` are changed in place, and do not affect existing pods and endpoints."""

    name_: Required[pulumi.Input[str]]
    """Base of the physical name; the stack's marker is appended."""
    image_name: Required[pulumi.Input[str]]
    """Container image."""
    guard: Required[pulumi.Input[str]]
    """Instance id of the stack's guard; a change replaces the template."""
    docker_args: pulumi.Input[str] | None
    """Arguments for the image's entry point."""
    container_disk_in_gb: pulumi.Input[int] | None
    """Container disk in GB, 30 by default."""
    ports: pulumi.Input[str] | None
    """Published ports, such as `8189/http,22/tcp`."""
    env: pulumi.Input[Mapping[str, pulumi.Input[str]]] | None
    """Environment of the container, kept as a secret."""
    container_registry_auth_id: pulumi.Input[str] | None
    """Registry credentials to pull the image with."""
    volume_in_gb: pulumi.Input[int] | None
    """Volume disk of pods in GB, 10 or more; 0 (default) for none. Back to 0 replaces the template."""
    volume_mount_path: pulumi.Input[str] | None
    """Where the volume disk is mounted, /workspace by default."""
    start_ssh: pulumi.Input[bool] | None
    """Give containers the account's SSH keys; false by default."""
    start_jupyter: pulumi.Input[bool] | None
    """Give containers a password for Jupyter; false by default."""
    is_serverless: pulumi.Input[bool] | None
    """For serverless workers instead of pods; false by default."""
    is_public: pulumi.Input[bool] | None
    """Visible to all RunPod users; then env must be empty. False by default."""
    category: pulumi.Input[str] | None
    """NVIDIA (default), AMD or CPU: how the console groups it."""
    allowed_cuda_versions: pulumi.Input[Sequence[pulumi.Input[str]]] | None
    """Acceptable CUDA versions of the host, `major.minor`."""


class Template(Resource):
    """A preset of container settings; it costs nothing."""

    token = "runpod:index:Template"  # noqa: S105 - a resource type
    outputs = ("templateId", "physicalName")

    def __init__(
        self, resource_name: str, *, opts: pulumi.ResourceOptions | None = None, **inputs: Unpack[TemplateInputs]
    ) -> None:
        """Declare a template; see TemplateInputs."""
        super().__init__(resource_name, secret_env(declared(inputs, TemplateInputs)), with_secrets(opts, "env"))
        self.acknowledge(self.template_id)

    @property
    def template_id(self) -> pulumi.Output[str]:
        """RunPod's id; unknown until created, unlike `id`."""
        return self.output("templateId")

    @property
    def physical_name(self) -> pulumi.Output[str]:
        """The name at RunPod, marker included."""
        return self.output("physicalName")
