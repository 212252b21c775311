"""``python -m gateway_core.cli``."""

from gateway_core.cli.root import main

if __name__ == "__main__":
    main()
