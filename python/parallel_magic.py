"""`%load_ext parallel_magic`: the px magics of ipcluster in IPython, under the name that the IPython documentation gave them."""


def load_ipython_extension(shell):
    from ipcluster.magics import register

    register(shell)


def unload_ipython_extension(shell):
    """The magics stay. Without an open client they run no code."""
