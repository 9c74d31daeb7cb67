"""The program of a stack that has one of everything."""

import pulumi

from components import runpod

config = pulumi.Config()
stage = config.get_int("stage") or 1
guard = runpod.StackGuard("guard", stack=pulumi.get_stack())
key = runpod.SshKeyPair("key", comment="pair")
account_key = runpod.AccountSshKey("account-key", name_="ci", public_key=key.public_key, guard=guard.instance_id)
registry = runpod.ContainerRegistryAuth(
    "registry", name_="hub", username="me", password=config.require_secret("password"), guard=guard.instance_id
)
volume = runpod.NetworkVolume(
    "volume", name_="models", size=10 * (stage + 1), guard=guard.instance_id, is_next_gen_storage=True
)
template = runpod.Template(
    "template",
    name_="worker",
    image_name="image:1",
    guard=guard.instance_id,
    is_serverless=True,
    env={"FROM_TEMPLATE": "1"},
    container_disk_in_gb=20 + stage,
)
endpoint = runpod.Endpoint(
    "endpoint",
    name_="images",
    guard=guard.instance_id,
    template_id=template.template_id,
    gpu_ids="ADA_24",
    env={"OWN": str(stage)},
    workers_min=1,
    workers_max=1 + stage,
    type=config.get("type") or "QUEUE",
    scaler_type="REQUEST_COUNT",
    drain_timeout_seconds=20,
)
pod = runpod.Pod(
    "loader",
    name_="loader",
    image_name=f"image:{stage}",
    compute_type="CPU",
    cpu_flavor_id_list=["cpu5m", "cpu5g"],
    vcpu_count=2,
    guard=guard.instance_id,
    network_volume_id=volume.network_volume_id,
    container_registry_auth_id=registry.registry_auth_id,
    ports="8080/http",
    docker_args="sleep 86400",
)
seen = runpod.get_pod_output(pod.pod_id)
pulumi.export("podId", pod.pod_id)
pulumi.export("flavor", pod.cpu_flavor_id)
pulumi.export("seenStatus", seen.status)
pulumi.export("endpointId", endpoint.endpoint_id)
pulumi.export("registryId", registry.registry_auth_id)
pulumi.export("templateId", template.template_id)
pulumi.export("volumeId", volume.network_volume_id)
pulumi.export("storage", volume.storage_type)
pulumi.export("keyId", account_key.key_id)
pulumi.export("run", endpoint.urls)
pulumi.export("flavors", [cpu.id for cpu in runpod.get_cpu_types(vcpu_count=2).cpu_types])
pulumi.export("billed", runpod.get_billing(bucket_size="hour").total)
