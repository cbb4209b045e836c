"""python -m ipcluster: the program ipcluster of this installation."""

from ipcluster.programs import become


def main():
    become("ipcluster")


if __name__ == "__main__":
    main()
