"""The commands behind the Makefile: `python -m stacks.cli <command> --env ENV`. They drive the engine, nothing else."""
