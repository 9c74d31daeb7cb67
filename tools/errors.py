"""The error of the set-up."""


class SetupError(Exception):
    """The machine lacks something; the message is one sentence with a remedy. Exit code 2."""
