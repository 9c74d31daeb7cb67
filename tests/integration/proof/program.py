"""The smallest stack with all that can be doubled: a guard, a pod, and a volume made after the pod.

The volume stands for what comes after the pod is in the state, as the installation does in the real program.
"""

import os

import pulumi

from components import runpod
from components.naming import PAUSED
from components.runpod.binding import Resource

config = pulumi.Config("proof")
if config.get_bool("silent"):
    # As if the engine died between saving the pod and telling anybody of it.
    setattr(Resource, Resource.acknowledge.__name__, lambda _self, _id: None)
guard = runpod.StackGuard("guard", stack=pulumi.get_stack())
paused = os.environ.get(PAUSED) == "1"


def make_pod() -> runpod.Pod:
    return runpod.Pod(
        "pod",
        name_="comfyui-local-gpu",
        image_name=config.get("image") or "image:1",
        gpu_type_id_list=(config.get("gpus") or "NVIDIA RTX A5000,NVIDIA GeForce RTX 4090").split(","),
        guard=guard.instance_id,
        ports="8189/http",
        env={"X": config.get("x") or "1", "SECRET": config.get_secret("secret") or ""},
        ready_timeout_seconds=60,
        opts=pulumi.ResourceOptions(
            delete_before_replace=config.get("replace") == "before",
            # A deletion that lies is told from a slow one by this bound, minutes long outside of tests.
            custom_timeouts=pulumi.CustomTimeouts(delete="10s"),
        ),
    )


pod = None if paused else make_pod()
if config.get_bool("volume"):
    volume = runpod.NetworkVolume(
        "volume",
        name_="comfyui-local-models",
        size=20,
        guard=guard.instance_id,
        data_center_ids=["EU-RO-1"],
        opts=pulumi.ResourceOptions(depends_on=[pod] if pod else []),
    )
pulumi.export("podId", pod.pod_id if pod else "")
pulumi.export("paused", paused)
