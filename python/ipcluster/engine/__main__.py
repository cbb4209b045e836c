"""python -m ipcluster.engine: an engine in this Python, with the arguments of ipengine."""

import sys

from ipcluster.programs import become


def main():
    become("ipengine", f"--python={sys.executable}")


if __name__ == "__main__":
    main()
