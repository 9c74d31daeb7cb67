"""The Pulumi program: settings in, outputs out."""

import os

from provisioning.contract import bundle
from stacks import lockfile, lookup, outputs, plan, program, settings

chosen = settings.load()
provision = plan.provision(chosen, lockfile.load())
catalogue = lookup.catalogue(chosen.gpu.count)
now = program.CurrentState(
    lookup.running_usd_per_hour(os.environ), lookup.volume_center(os.environ), lookup.paused(os.environ)
)
outputs.export(program.build(chosen, provision, catalogue=catalogue, bundle=bundle.digest(), now=now))
