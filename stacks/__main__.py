"""The Pulumi program: settings in, outputs out."""

from provisioning import bundle
from stacks import lockfile, lookup, outputs, plan, program, settings

chosen = settings.load()
outputs.export(
    program.build(
        chosen,
        plan.provision(chosen, lockfile.load()),
        catalogue=lookup.catalogue(chosen.gpu.count),
        bundle=bundle.digest(),
    )
)
