"""Run the command line with ``python -m qa``."""

from qa.cli import main

main()
