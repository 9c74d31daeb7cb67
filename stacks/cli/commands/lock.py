"""Write the hashes of models and commits of sources that the pod resolved to the repository's lock file."""

from __future__ import annotations

from stacks import lockfile
from stacks.cli.pulumi import last_installation, stack
from stacks.cli.pulumi.engine import Engine


def run(engine: Engine) -> None:
    """Record the last installation's result; existing entries stay in force.

    Raises:
        CliError: nothing was installed yet.
    """
    plan, result = last_installation.find_run(stack.deployment(engine, secrets=True), engine.checkout.env)
    before = lockfile.load()
    after = before.record((plan.comfyui, *plan.nodes), last_installation.reported(plan, result["models"]))
    lockfile.save(after)
    new = sum(1 for url in after.models if url not in before.models)
    print(f"{lockfile.PATH.name}: {len(after.models)} model(s), {new} new; {len(after.sources)} source(s). Commit it.")
