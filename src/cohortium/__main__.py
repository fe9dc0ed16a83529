"""``python -m cohortium`` is the command line."""

from cohortium.cli import main

main()
