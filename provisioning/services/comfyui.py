"""ComfyUI's command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from provisioning import contract
from provisioning.errors import InstallError
from provisioning.layout import Layout, port
from provisioning.services import isolation
from provisioning.services.service_spec import ServiceSpec

RESERVED = (
    "--listen", "--port", "--base-directory", "--input-directory", "--output-directory", "--temp-directory",
    "--user-directory", "--models-directory", "--extra-model-paths-config", "--enable-cors-header", "--tls-keyfile",
    "--tls-certfile", "--enable-manager", "--enable-manager-legacy-ui", "--front-end-version", "--front-end-root",
)  # fmt: skip
"""Arguments that control access to ComfyUI, its folders, or the code it loads; the stack file must not set them."""


def validate_arguments(arguments: Sequence[str]) -> None:
    """Raise InstallError for an argument that the stack file must not set."""
    for argument in arguments:
        name = argument.split("=", 1)[0]
        # argparse accepts unambiguous abbreviations of options.
        if len(name) > 2 and any(reserved.startswith(name) for reserved in RESERVED):
            raise InstallError(f"comfyui.args: {name} is set by the installer; remove it from the stack file")


def command(spec: ServiceSpec, layout: Layout, environ: Mapping[str, str]) -> list[str]:
    """Return ComfyUI's command; it listens on loopback only and does not write workflows into images."""
    base, service = layout.base, spec.comfyui
    python = layout.local / spec.gateway.python
    program = layout.bundles / spec.bundle / "provisioning" / "services" / "confine.py"
    return [
        *isolation.launch(layout, isolation.current(layout), python, program, layout.local / service.source),
        str(layout.local / service.python), "main.py",
        "--listen", "127.0.0.1",
        "--port", str(port(contract.COMFYUI_PORT, environ)),
        "--base-directory", str(base),
        "--input-directory", str(base / "input"),
        "--output-directory", str(base / "output"),
        "--disable-auto-launch",
        "--disable-metadata",
        *service.arguments,
    ]  # fmt: skip
