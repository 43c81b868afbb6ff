"""`python -m deepcolor` is the `deepcolor` command."""

from deepcolor.cli.main import main

if __name__ == "__main__":
    main()
