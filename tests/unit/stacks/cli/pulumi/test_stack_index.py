"""What is read from states, and what of a dead stack is remembered."""

import json
from pathlib import Path

from stacks.cli.pulumi import stack_index
from stacks.cli.pulumi.stack import GUARD


def test_a_state_knows_its_instance_and_the_ids_in_it() -> None:
    guard = {"type": GUARD, "id": "0123456789", "outputs": {"instanceId": "0123456789"}}
    state = {"resources": [guard, {"type": "runpod:index:Pod", "id": "p1"}, {"type": "pulumi:pulumi:Stack"}]}
    stack = stack_index.index_state("dev", state, past=["9876543210"], busy=True)
    assert sorted(stack.ids) == ["0123456789", "p1"]
    assert sorted(stack.instances) == ["0123456789", "9876543210"]
    both = stack_index.StackIndex((stack_index.IndexedStack("prod", frozenset()), stack))
    assert both.stack_of("9876543210") is stack
    assert both.holder_of("p1") is stack
    assert both.stack_of(None) is both.holder_of("p2") is None
    assert both.owners() == dict.fromkeys(("0123456789", "9876543210"), "dev")


def test_instances_of_earlier_states_are_remembered_by_a_file_backend(tmp_path: Path) -> None:
    folder = tmp_path / ".pulumi" / "history" / "comfyui-runpod" / "dev"
    folder.mkdir(parents=True)
    guard = {"type": GUARD, "outputs": {"instanceId": "0123456789"}}
    state = {"checkpoint": {"latest": {"resources": [guard]}}}
    (folder / "dev-1.checkpoint.json").write_text(json.dumps(state))
    (folder / "dev-2.checkpoint.json").write_text("{")
    (folder / "dev-3.checkpoint.json").write_text(json.dumps({"checkpoint": {"latest": None}}))
    assert stack_index.past_instances("dev", {"PULUMI_BACKEND_URL": f"file://{tmp_path}"}) == {"0123456789"}
    assert stack_index.past_instances("prod", {"PULUMI_BACKEND_URL": f"file://{tmp_path}"}) == set()
    assert stack_index.past_instances("dev", {"PULUMI_BACKEND_URL": "s3://bucket"}) == set()
