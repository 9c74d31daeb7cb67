"""The one error of the commands."""


class CliError(Exception):
    """What went wrong, where, and what to do next; printed without a traceback. Exit code 1."""
