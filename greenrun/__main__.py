"""The command as a module: `python -m greenrun`."""

from greenrun.cli import main

if __name__ == "__main__":
    main()
