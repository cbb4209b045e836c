"""A page of Jupyter Notebook in a browser: what cells show with ipyparallel and its own cluster, and with our client and cluster.

Pictures of both pages are left in the build tree's folder `pictures`. scripts/install-packages browser installs what this needs. Bars that are
widgets need ipywidgets 7 or later: Debian 12 has an older one, so they are those of Debian 13, which are fetched and not installed.
"""

import json
import os
import re

import pytest

import peers
from support import LONG, PYTHON, find_build, free_ports, wait_until

pytest.importorskip("ipyparallel")
pytest.importorskip("notebook")
webdriver = pytest.importorskip("selenium.webdriver")

DRIVER = "/usr/bin/chromedriver"
CONNECT = "import {package} as ipp\nc = ipp.Client({file!r})\nc.wait_for_engines(2)\nc.activate()\nc[:].scatter('me', [0, 1], flatten=True, block=True)"
CELLS = {
    "prints": "%%px\nprint('hello from', me)",
    "streams": """%%px
import sys, time
for i in range(25):
    print('step', i, flush=True)
    time.sleep(0.2)
print('done', file=sys.stderr, flush=True)""",
    "bar": "%%px --progress-after 0\nimport time; time.sleep(0.3)",
    "figure": """%%px
import matplotlib
matplotlib.use('agg')
import io
from IPython.display import Image, display
from matplotlib import pyplot
figure = pyplot.figure(figsize=(2, 1))
pyplot.plot([me, 1 - me])
drawn = io.BytesIO()
figure.savefig(drawn, format='png')
print('drawn by', me, flush=True)
display(Image(drawn.getvalue()))""",
    "result": "%%px\nme * 10",
    "error": "%%px\n1 / me",
    "map": "def nap(x):\n    import time\n    time.sleep(0.1)\n    return x\nr = c.load_balanced_view().map_async(nap, range(20))\nr.wait_interactive()\nsum(r.get())",
    "objects": "c",
}
# Bars if there are ipywidgets: by default, as a widget that is asked for, and as text that is asked for.
NAP = "def nap(x):\n    import time\n    time.sleep(0.1)\n    return x\nr = c.load_balanced_view().map_async(nap, range(20))\n"
WAIT = "try:\n    c.wait_for_engines(3, timeout=1, {options})\nexcept TimeoutError:\n    pass"
WIDGETS = {
    "unasked": NAP + "r.wait_interactive()",
    "asked": NAP + "r.wait_interactive(widget=True)",
    "text": NAP + "r.wait_interactive(widget=False)",
    "engines": WAIT.format(options="interactive=True, widget=True"),
    "silent": WAIT.format(options="interactive=False"),
    "cluster": "own = ipp.Cluster(n=2)\nown.start_and_connect_sync()\nown.stop_cluster_sync()",
}
# The cells with a widget, and what each shows in the end.
BARS = {"unasked": (100, "20/20"), "asked": (100, "20/20"), "engines": (67, "2/3"), "cluster": (100, "2/2")}
# What is under each cell: the text of its areas, and how many images each has.
READ = """
return Jupyter.notebook.get_cells().map(cell => cell.cell_type !== 'code' ? [] :
    cell.output_area.element.find('.output_subarea').toArray().map(area => [area.className, area.innerText, area.getElementsByTagName('img').length]));
"""
# In the first cell, which runs until this is shown: the page never shows a widget that comes before it knows the kernel's widgets.
ANY_WIDGET = "import ipywidgets\nipywidgets.HTML('here')"
# Likewise the bars of widgets: how far each is, in percent, and the text of its box.
READ_BARS = """
return Jupyter.notebook.get_cells().map(cell => cell.cell_type !== 'code' ? [] :
    cell.output_area.element.find('.progress').toArray().map(bar =>
        [Math.round(100 * $(bar).find('.progress-bar').width() / $(bar).width()), $(bar).closest('.widget-box').text()]));
"""


@pytest.fixture
def widgets(sandbox):
    """Has Python and the page of the notebook find ipywidgets."""
    try:
        root = peers.unpack(
            "trixie", ["python3-ipywidgets", "python3-widgetsnbextension", "python3-ipykernel", "python3-comm"]
        )
    except peers.Unavailable as reason:
        pytest.skip(f"no widgets: {reason}")
    sandbox.env["PYTHONPATH"] += os.pathsep + str(root / peers.PYTHON_FOLDER)
    sandbox.env["JUPYTER_PATH"] = str(root / "usr/share/jupyter")
    sandbox.env["JUPYTER_CONFIG_PATH"] = str(root / "etc/jupyter")


@pytest.fixture
def server(sandbox):
    """The address of a notebook server, whose files are in the sandbox's working folder."""
    (port,) = free_ports(1)
    sandbox.start(
        PYTHON,
        "-m",
        "notebook",
        "--no-browser",
        "--allow-root",
        "--ip=127.0.0.1",
        f"--port={port}",
        "--NotebookApp.token=",
        "--NotebookApp.password=",
        f"--notebook-dir={sandbox.work}",
        python=True,
    ).wait_for_output("is running at", 60)
    return f"http://127.0.0.1:{port}"


@pytest.fixture
def browser(sandbox):
    options = webdriver.ChromeOptions()
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1000,3600",
                 f"--user-data-dir={sandbox.dir}/chromium"):  # fmt: skip
        options.add_argument(word)
    if not os.path.exists(DRIVER):
        pytest.skip("there is no chromium-driver")
    service = webdriver.chrome.service.Service(DRIVER, env=sandbox.env)
    driver = webdriver.Chrome(service=service, options=options)
    yield driver
    driver.quit()


class Page:
    """A notebook whose cells were run: the areas of each cell by its name, and those that were seen while it ran."""

    def __init__(self, browser, server, sandbox, package, file, named=CELLS, name=""):
        self.names = ["connect", *named]
        cells = [CONNECT.format(package=package, file=str(file)), *named.values()]
        if named is WIDGETS:
            cells[0] += "\n" + ANY_WIDGET
        (sandbox.work / f"{package}.ipynb").write_text(json.dumps({
            "cells": [{"cell_type": "code", "source": cell, "metadata": {}, "outputs": [], "execution_count": None} for cell in cells],
            "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}, "nbformat": 4, "nbformat_minor": 4,
        }))  # fmt: skip
        self.browser = browser
        browser.get(f"{server}/notebooks/{package}.ipynb")
        wait_until(
            lambda: browser.execute_script(
                "return !!(window.Jupyter && Jupyter.notebook && Jupyter.notebook.kernel && "
                "Jupyter.notebook.kernel.is_connected() && Jupyter.notebook._fully_loaded)"
            ),
            LONG,
            "the notebook is there",
        )
        if named is WIDGETS:
            wait_until(self._shows_a_widget, LONG, "a widget is shown", interval=1)
        browser.execute_script("Jupyter.notebook.get_cells().forEach(cell => cell.execute(false))")
        self.while_it_ran = []

        def has_ended():
            self.while_it_ran.append(self._read())
            return self._has_ended()

        try:
            wait_until(has_ended, 120, "all cells have run", interval=0.1)
        finally:
            pictures = find_build() / "pictures"
            pictures.mkdir(exist_ok=True)
            browser.save_screenshot(str(pictures / f"{package}{name}.png"))
        self.areas = self._read()

    def _read(self):
        return dict(zip(self.names, self.browser.execute_script(READ)))

    def bars(self):
        """By each cell's name its widgets' bars."""
        return dict(zip(self.names, self.browser.execute_script(READ_BARS)))

    def _has_ended(self):
        return self.browser.execute_script(
            "return Jupyter.notebook.get_cells().every(cell => cell.input_prompt_number > 0) && !Jupyter.notebook.kernel_busy"
        )

    def _shows_a_widget(self):
        shown = self.browser.execute_script("return document.getElementsByClassName('widget-html').length")
        if not shown and self._is_idle():
            self.browser.execute_script("Jupyter.notebook.get_cells()[0].execute(false)")
        return shown

    def _is_idle(self):
        return self.browser.execute_script("return !Jupyter.notebook.kernel_busy")

    def text(self, cell):
        return "\n".join(text for _, text, _ in self.areas[cell])

    def lines(self, cell):
        """Lines without the marks before them, sorted; without bars, and the line that says where code runs."""
        lines = (re.sub(r"^(Out)?\[\w+:\d+\]:? *", "", line).strip() for line in self.text(cell).splitlines())
        return sorted(line for line in lines if line and "%|" not in line and not line.startswith("Parallel execution"))

    def images(self, cell):
        return sum(images for _, _, images in self.areas[cell])

    def blocks(self, cell):
        return [text for _, text, _ in self.areas[cell] if re.match(r"\[\w+:\d\]|Out\[\d", text)]


def test_a_notebook_page_shows_with_us_what_it_shows_with_ipyparallel(
    browser, server, sandbox, new_cluster, new_their_cluster
):
    theirs_runs = new_their_cluster(0, profile="theirs")
    for _ in range(2):
        theirs_runs.start_their_engine()
    theirs = Page(browser, server, sandbox, "ipyparallel", theirs_runs.client_file)
    ours = Page(browser, server, sandbox, "ipcluster", new_cluster(2).client_file)

    for cell in ("prints", "streams", "figure", "result"):
        assert ours.lines(cell) == theirs.lines(cell), cell
        assert ours.images(cell) == theirs.images(cell) == (2 if cell == "figure" else 0), cell
    assert (
        len(ours.blocks("prints")) == len(ours.blocks("streams")) == len(ours.blocks("result")) == 2
    ), "one of each engine"
    assert len(ours.blocks("streams")) <= len(theirs.blocks("streams"))
    for page in (ours, theirs):
        assert "ZeroDivisionError" in page.text("error")
        for cell, count in (("bar", 2), ("streams", 2), ("map", 20)):
            assert re.search(rf"100%.*\| {count}/{count} \[", page.text(cell)), cell
        assert "190" in page.text("map")
        # The output was seen as it came, in the areas that are there at the end.
        seen = [areas["streams"] for areas in page.while_it_ran]
        assert any("step 3" in str(areas) and "step 24" not in str(areas) for areas in seen)
        assert max(len(areas) for areas in seen) == len(page.areas["streams"]), "they do not become more and fewer"
    assert "2 engines" in ours.text("objects")


def test_bars_are_widgets_where_ipyparallels_are(widgets, browser, server, sandbox, new_cluster, new_their_cluster):
    theirs_runs = new_their_cluster(0, profile="theirs")
    for _ in range(2):
        theirs_runs.start_their_engine()
    theirs = Page(browser, server, sandbox, "ipyparallel", theirs_runs.client_file, WIDGETS, "-widgets")
    theirs_bars = theirs.bars()
    ours = Page(browser, server, sandbox, "ipcluster", new_cluster(2).client_file, WIDGETS, "-widgets")
    for page, bars in ((theirs, theirs_bars), (ours, ours.bars())):
        assert {cell: len(shown) for cell, shown in bars.items() if shown} == dict.fromkeys(BARS, 1)
        for cell, (percent, count) in BARS.items():
            ((wide, text),) = bars[cell]
            assert wide == percent and re.search(rf"{percent}%.*{count} \[", text), (cell, wide, text)
        assert re.search(r"100%\|.*\| 20/20 \[", page.text("text"))
        assert not page.text("silent")
