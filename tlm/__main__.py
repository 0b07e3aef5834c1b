"""`python -m tlm`, which is `tlm`."""

from tlm.cli import main

main()
