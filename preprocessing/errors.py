"""The one exception that a program turns into a single line and exit status 1."""


class UserError(Exception):
    """A condition that the person at the terminal can fix.

    The message names the thing at fault, what was found, what is needed and what to do.
    """
