"""The one error of the set-up."""


class SetupError(Exception):
    """The machine lacks something; the message is one sentence that says what, and what to do. Exit code 2."""
