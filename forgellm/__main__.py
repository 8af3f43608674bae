"""`python -m forgellm` is the `forgellm` command."""

from forgellm.cli.main import main

if __name__ == "__main__":
    main()
