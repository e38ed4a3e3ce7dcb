"""numdl-bridge: the same case study in PyTorch and in Julia, from the same bits."""

__version__ = "0.1.0"
