"""Debian's Prometheus reads what the controller counts, as the page on monitoring says. `scripts/test --all` installs it."""

import json
import re
import shutil
import urllib.parse
import urllib.request

import pytest

from support import LONG, TOP, free_ports, wait_until

PROMETHEUS = shutil.which("prometheus")
PAGE = (TOP / "docs/howto/monitoring.md").read_text()


def block(language):
    """The page's only block of this language."""
    return re.search(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)[1]


@pytest.mark.skipif(not PROMETHEUS, reason="no Prometheus is installed: scripts/install-packages prometheus")
def test_prometheus_has_samples_of_what_the_controller_counts(new_cluster, sandbox):
    cluster = new_cluster(1, controller=["--metrics=0"])
    client = cluster.client()
    for _ in range(3):
        client.load_balanced_view().apply_sync(abs, -1)
    offered = wait_until(lambda: re.search(r"metrics are at http://(\S+)/metrics", cluster.controller.output))[1]
    settings = sandbox.dir / "prometheus.yml"
    settings.write_text(block("yaml").replace("127.0.0.1:9464", offered).replace("10s", "1s"))
    (port,) = free_ports(1)
    server = sandbox.start(
        PROMETHEUS,
        f"--config.file={settings}",
        f"--storage.tsdb.path={sandbox.dir / 'samples'}",
        f"--web.listen-address=127.0.0.1:{port}",
    )

    wait_until(lambda: "ready to receive web requests" in server.output, LONG, "Prometheus is ready")

    def samples(query):
        url = f"http://127.0.0.1:{port}/api/v1/query?" + urllib.parse.urlencode({"query": query})
        with urllib.request.urlopen(url, timeout=LONG) as answer:
            return [sample["value"][1] for sample in json.load(answer)["data"]["result"]]

    wait_until(lambda: samples("ipcluster_tasks_submitted_total") == ["3"], LONG, "a sample arrives")
    wait_until(lambda: samples('up{job="ipcluster"}') == ["1"], LONG, "the controller is up")
    wait_until(lambda: samples('ipcluster_engines{state="idle"}') == ["1"], LONG, "its engine is idle")
    # It answers a query that is not valid with an error.
    queries = re.findall(r"^[^#\n].*", block("promql"), re.MULTILINE)
    assert queries
    for query in queries:
        samples(query)
