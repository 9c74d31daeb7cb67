"""The provider as a resource, for stacks with an explicit provider."""

from __future__ import annotations

import pulumi


class Provider(pulumi.ProviderResource):
    """An explicitly configured RunPod provider."""

    def __init__(
        self,
        resource_name: str,
        *,
        api_key: pulumi.Input[str] | None = None,
        api_url: pulumi.Input[str] | None = None,
        proxy_url_template: pulumi.Input[str] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Configure a provider; unset values come from `runpod:` configuration.

        Args:
            resource_name: Logical name in the stack.
            api_key: RunPod API key; kept as a secret.
            api_url: Base address of the API, without `/v2`.
            proxy_url_template: Public address of a pod's HTTP port; with `{podId}`, `{port}` and `{publicPort}`.
            opts: Pulumi resource options.
        """
        config = pulumi.Config("runpod")
        inputs = {
            "apiKey": pulumi.Output.secret(api_key) if api_key is not None else config.get_secret("apiKey"),
            "apiUrl": api_url if api_url is not None else config.get("apiUrl"),
            "proxyUrlTemplate": proxy_url_template
            if proxy_url_template is not None
            else config.get("proxyUrlTemplate"),
        }
        super().__init__("runpod", resource_name, inputs, opts)
