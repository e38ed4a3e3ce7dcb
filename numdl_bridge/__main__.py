"""`python -m numdl_bridge` is the command `numdl`."""

from .cli import main

main()
