"""``python -m spikeloom``: the same as the ``spikeloom`` command."""

from .cli import main

if __name__ == "__main__":
    raise SystemExit(main())
