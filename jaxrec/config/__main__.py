"""Prints the page of all fields: `python -m jaxrec.config`."""

from jaxrec.config.page import page

if __name__ == "__main__":
    print(page(), end="")
