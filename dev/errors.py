"""What the local stack says when it cannot go on."""


class StackError(Exception):
    """A reason to stop that a person can act on; its text is one line."""
