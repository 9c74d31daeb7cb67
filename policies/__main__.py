"""The policy pack: the list of policies."""

from pulumi_policy import PolicyPack

from policies.rules import cost, exposure, models, pins, secrets, volumes

PolicyPack(
    "comfyui-runpod",
    policies=[
        *cost.POLICIES,
        *exposure.POLICIES,
        *secrets.POLICIES,
        *pins.POLICIES,
        *models.POLICIES,
        *volumes.POLICIES,
    ],
)
