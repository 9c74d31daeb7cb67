"""The commands behind the Makefile: `python -m stacks.cli <command> --env ENV`. They run the Pulumi engine."""
