"""The Python half of the engine's kernel. It is imported inside an engine only: there the module _ipcluster_host is built in."""
