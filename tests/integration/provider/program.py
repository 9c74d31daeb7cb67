"""The program of the test stacks: a guard, a host key, and a pod that has it."""

import pulumi

from components import runpod

config = pulumi.Config()
guard = runpod.StackGuard("guard", stack=pulumi.get_stack())
key = runpod.SshKeyPair("key", comment="host")
requirement = config.get_object("volume") or {}
if requirement.get("id"):
    volume_id = pulumi.Output.from_input(str(requirement["id"]))
else:
    volume_id = runpod.NetworkVolume(
        "volume",
        name_="models",
        size=config.get_int("size") or 20,
        guard=guard.instance_id,
        data_center_ids=config.get_object("centers"),
        gpu_type_id_list=["NVIDIA RTX A5000"],
        keep=requirement.get("keep"),
        may_replace=requirement.get("replace"),
    ).network_volume_id
pod = runpod.Pod(
    "pod",
    name_="gpu",
    image_name=config.get("image") or "image:1",
    gpu_type_id_list=["NVIDIA RTX A5000", "NVIDIA GeForce RTX 4090"],
    guard=guard.instance_id,
    network_volume_id=volume_id,
    ports="8189/http",
    env={"COMFYUI_SSH_HOST_KEY": key.private_key, "X": config.get("x") or "1"},
    docker_args="sleep 86400",
)
pulumi.export("podId", pod.pod_id)
pulumi.export("gpu", pod.gpu)
pulumi.export("urls", pod.urls)
pulumi.export("volumeId", volume_id)
