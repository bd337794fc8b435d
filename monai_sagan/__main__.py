"""``python -m monai_sagan``: the command, by the Python that has the package."""

from monai_sagan.cli import main

if __name__ == "__main__":
    main()
