"""The provider process the engine starts (see `pulumi-resource-runpod` beside this file)."""
