"""What code in an engine publishes to its client while it runs."""

from ipcluster.engine.datapub import publish_data
