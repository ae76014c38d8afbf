"""Between numbers and spikes: encoders at the entrance, decoders and decisions at the exit.

Public as ``sl.encode`` and ``sl.decode``. Sequences are ``[T, B, ...]``, time first, everywhere.
"""

from . import decode, encode

__all__ = ["decode", "encode"]
