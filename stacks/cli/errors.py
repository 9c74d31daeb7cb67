"""The one error of the commands."""


class CliError(Exception):
    """An error with its place and remedy, printed without a traceback. Exit code 1."""
