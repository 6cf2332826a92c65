"""Entry point of ``python -m jsonschemabench``."""

from jsonschemabench.cli import main

# Worker processes import this module again under another name: they must not run it.
if __name__ == "__main__":
    raise SystemExit(main())
