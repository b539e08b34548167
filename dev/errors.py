"""The error of the local stack when it cannot continue."""


class StackError(Exception):
    """A failure that the developer can act on; its text is one line."""
