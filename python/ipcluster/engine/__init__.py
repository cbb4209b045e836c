"""The Python half of the engine's kernel: imported inside an engine only, where the module _ipcluster_host is built in."""
