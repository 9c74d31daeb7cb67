"""The error of the commands."""


class CliError(Exception):
    """An error with its cause and remedy, printed without a traceback; exit code 1."""
