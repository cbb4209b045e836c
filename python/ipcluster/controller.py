"""python -m ipcluster.controller: the program ipcontroller of this installation."""

from ipcluster.programs import become


def main():
    become("ipcontroller")


if __name__ == "__main__":
    main()
