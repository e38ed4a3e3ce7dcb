"""The command `numdl`: what it can be asked, one file a group of commands.

Nothing heavy is imported before a command needs it, so that `numdl --help` answers at once.
"""

from .commands import app, main

__all__ = ["app", "main"]
