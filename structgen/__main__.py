"""``python -m structgen``."""

from structgen.cli import main

main()
