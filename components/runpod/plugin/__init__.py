"""The provider process that the engine starts (see `pulumi-resource-runpod` in this folder)."""
