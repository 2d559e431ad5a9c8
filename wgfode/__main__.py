"""`python -m wgfode` is the command `wgfode`."""

from .cli import main

if __name__ == "__main__":
    main()
