"""The built site in headless Chromium, opened from its folder, without a network.

    python docs/browser_test.py [docs/_build/html]

Needs Chromium and chromedriver (on Debian: apt-get install chromium chromium-driver) and the extra `docs`.
"""

import argparse
import json
import shutil
import sys
import time
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

HERE = Path(__file__).parent
OPTIONS = (
    "--headless=new",
    "--no-sandbox",  # CI runs as root
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND",  # no network: requests outside the folder fail
)
PHONE, DESK = (375, 667), (1280, 900)

CONTENT = {"formula": ".math mjx-container svg", "code cell": ".cell_input", "output": ".cell_output"}
PAGES = {"attention": "ops.attention", "upstream": "01_one_layer", "linear": "layers.dense", "MOSEI": "deviations"}
NEEDED = {
    "Chromium": ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"),
    "chromedriver": ("chromedriver", "chromium.chromedriver"),
}
LIGHTNESS = """
const channels = getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3);
return channels.reduce((sum, channel) => sum + Number(channel), 0) / 765;
"""
# the theme scrolls the contents of .content rather than the page
BEYOND = """
const boxes = [document.documentElement, document.body, ...document.querySelectorAll('.page, .main, .content')];
return Math.max(...boxes.map(box => box.scrollWidth - box.clientWidth));
"""


class Browser:
    """One open page, and the errors on the way to it."""

    def __init__(self, site):
        paths = {name: next(filter(None, map(shutil.which, names)), None) for name, names in NEEDED.items()}
        if missing := [name for name, path in paths.items() if path is None]:
            sys.exit(f"no {' and no '.join(missing)} on this machine; on Debian: apt-get install chromium chromium-driver")
        options = webdriver.ChromeOptions()
        options.binary_location = paths["Chromium"]
        for option in OPTIONS:
            options.add_argument(option)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(paths["chromedriver"]))
        self.site = site

    def open(self, page, size=DESK):
        metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size == PHONE}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.driver.get(f"{self.site.as_uri()}/{page}")
        self.wait("return document.readyState == 'complete'")
        if self.js("return Boolean(window.MathJax)"):
            self.wait("return Boolean(MathJax.startup && MathJax.startup.promise)")
            self.driver.execute_async_script("MathJax.startup.promise.then(arguments[0])")

    def js(self, code, *arguments):
        return self.driver.execute_script(code, *arguments)

    def wait(self, code, seconds=20):
        WebDriverWait(self.driver, seconds, poll_frequency=0.05).until(lambda _: self.js(code), f"timeout: {code}")

    def complaints(self):
        """Return console errors and warnings, failed requests, and requests outside the folder, since the last call."""
        errors = [f"console: {entry['message']}" for entry in self.driver.get_log("browser") if entry["level"] != "INFO"]
        addresses = {}
        for entry in self.driver.get_log("performance"):
            event = json.loads(entry["message"])["message"]
            method, params = event["method"], event["params"]
            if method == "Network.requestWillBeSent":
                address = addresses[params["requestId"]] = params["request"]["url"]
                if not address.startswith(("file:", "data:", "blob:")):
                    errors.append(f"outside request: {address}")
            if method == "Network.loadingFailed" and not params.get("canceled"):
                errors.append(f"failed request: {addresses.get(params['requestId'])}: {params['errorText']}")
        return errors


def every_page(browser):
    """Check every page: no errors, nothing wider than a phone, no formula left as text."""
    pages = sorted(path.relative_to(browser.site) for path in browser.site.rglob("*.html"))
    assert len(pages) > 50, f"only {len(pages)} pages"
    problems = []
    for page in pages:
        browser.open(page.as_posix(), PHONE)
        problems += [f"{page}: {complaint}" for complaint in browser.complaints()]
        if beyond := browser.js(BEYOND):
            problems.append(f"{page}: {beyond} px wider than a phone")
        problems += [f"{page}: {problem}" for problem in browser.js(FORMULAS)]
    assert not problems, "\n".join(problems)
    return f"{len(pages)} pages"


FORMULAS = r"""
const left = [];
const walker = document.createTreeWalker(document.querySelector('article') || document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const node = walker.currentNode;
  if (!node.parentElement.closest('pre, code, script, style, mjx-container') && /\$\$|\\\(|\\\[|\\frac|\\sum/.test(node.data))
    left.push('formula left as text: ' + node.data.trim().slice(0, 60));
}
for (const bad of document.querySelectorAll('mjx-merror, [data-mjx-error]'))
  left.push('formula with an error: ' + bad.textContent.slice(0, 60));
for (const math of document.querySelectorAll('.math'))
  if (!math.querySelector('mjx-container svg')) left.push('formula not drawn: ' + math.textContent.trim().slice(0, 60));
for (const image of document.querySelectorAll('article img'))
  if (image.loading != 'lazy' && !image.naturalWidth) left.push('image not drawn: ' + image.src);
return left;
"""


def tutorials(browser):
    """Check that each tutorial has formulas, code and output."""
    pages = sorted((browser.site / "tutorials").glob("[0-9][0-9]_*.html"))
    assert pages, "no tutorials"
    for page in pages:
        browser.open(f"tutorials/{page.name}")
        count = "return document.querySelectorAll(arguments[0]).length"
        for what, selector in CONTENT.items():
            assert browser.js(count, selector), f"{page.name}: no {what}"
    assert not (complaints := browser.complaints()), complaints
    return f"{len(pages)} pages"


def nothing_cut_off(browser):
    """Check at three widths that formulas, tables and code fit or scroll; at the widest, formulas fit without."""
    problems = []
    for width in (1300, 900, 390):
        for page in sorted(path.relative_to(browser.site) for path in browser.site.rglob("*.html")):
            if page.parts[0] in ("api", "_modules", "genindex.html"):
                continue
            browser.open(page.as_posix(), (width, 900))
            problems += [f"{page} at {width} px: {problem}" for problem in browser.js(CUT_OFF, width == 1300)]
    assert not problems, "\n".join(problems)
    return "at 1300, 900 and 390 px"


CUT_OFF = """
const left = [], column = document.querySelector('article').getBoundingClientRect().right;
for (const box of document.querySelectorAll('article div.math, article table, article pre')) {
  let scrolls = false;
  for (let around = box; around.tagName != 'ARTICLE'; around = around.parentElement)
    scrolls ||= ['auto', 'scroll'].includes(getComputedStyle(around).overflowX);
  const leaves = !scrolls && box.getBoundingClientRect().right > column + 1;
  if (leaves || (arguments[0] && box.matches('div.math') && box.scrollWidth > box.clientWidth + 1))
    left.push(box.tagName + ' ' + box.textContent.trim().slice(0, 60));
}
return left;
"""


def gate(browser):
    """Check that the figure on the first page follows the keyboard."""
    browser.open("index.html")
    slider, output = (browser.driver.find_element(By.CSS_SELECTOR, f"#gate {name}") for name in ("input", "output"))
    before = output.text
    slider.send_keys(Keys.ARROW_RIGHT)
    assert output.text != before and "face" in output.text and "voice" in output.text, output.text
    assert len(browser.driver.find_elements(By.CSS_SELECTOR, "#gate circle")) == 4
    assert not (complaints := browser.complaints()), complaints
    return output.text


def dark_mode(browser):
    """Check that the button changes the theme, which stays on the next page."""
    browser.open("index.html")
    button = next(b for b in browser.driver.find_elements(By.CSS_SELECTOR, "button.theme-toggle") if b.is_displayed())
    lightness = {}
    for _ in range(3):
        button.click()
        browser.wait("return document.body.dataset.theme")
        lightness[browser.js("return document.body.dataset.theme")] = browser.js(LIGHTNESS)
    assert lightness["light"] > 0.9 and lightness["dark"] < 0.2, lightness
    while browser.js("return document.body.dataset.theme") != "dark":
        button.click()
    browser.open("tutorials.html")
    assert browser.js("return document.body.dataset.theme") == "dark"
    assert browser.js(LIGHTNESS) < 0.2
    browser.js("localStorage.clear()")
    return str(sorted(lightness))


def search(browser):
    """Check that words of tutorials, names of functions and words of tables are found, from the keyboard."""
    for word, page in PAGES.items():
        browser.open("index.html")
        browser.driver.switch_to.active_element.send_keys("/")
        field = browser.driver.switch_to.active_element
        assert field.get_attribute("name") == "q", "the key / does not lead to the search"
        field.send_keys(word + Keys.ENTER)
        browser.wait("return location.pathname.endsWith('search.html') && document.querySelectorAll('ul.search li a').length")
        time.sleep(0.5)
        links = browser.js("return [...document.querySelectorAll('ul.search li a')].map(a => a.getAttribute('href'))")
        assert any(page in link for link in links), f"{word}: {page} is not among {links[:10]}"
    assert not (complaints := browser.complaints()), complaints
    return "found"


def keyboard(browser):
    """Check that the first Tab skips to the content, and that the theme button reacts to Enter."""
    browser.open("tutorials/01_one_layer.html")
    body, stops = browser.driver.find_element(By.TAG_NAME, "body"), []
    body.send_keys(Keys.TAB)
    for _ in range(60):
        active = browser.driver.switch_to.active_element
        stops.append(active.get_attribute("class") + active.get_attribute("name"))
        if "theme-toggle" in active.get_attribute("class"):
            break
        active.send_keys(Keys.TAB)
    assert any("skip-to-content" in stop for stop in stops), stops
    assert "theme-toggle" in stops[-1], stops
    before = browser.js("return document.body.dataset.theme")
    browser.driver.switch_to.active_element.send_keys(Keys.ENTER)
    assert browser.js("return document.body.dataset.theme") != before
    browser.js("localStorage.clear()")
    return f"{len(stops)} stops"


def phone(browser):
    """Check that the menu opens and its links work."""
    browser.open("index.html", PHONE)
    browser.driver.find_element(By.CSS_SELECTOR, "label.nav-overlay-icon").click()
    link = browser.driver.find_element(By.CSS_SELECTOR, ".sidebar-drawer a[href='tutorials.html']")
    WebDriverWait(browser.driver, 5).until(lambda _: link.is_displayed() and link.rect["x"] >= 0)
    time.sleep(0.5)  # the menu slides in
    link.click()
    browser.wait("return location.pathname.endsWith('tutorials.html')")
    return "menu works"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("site", nargs="?", type=Path, default=HERE / "_build" / "html")
    site = parser.parse_args().site.resolve()
    if not (site / "index.html").exists():
        sys.exit(f"no site in {site}; first: sphinx-build -M html docs docs/_build -W -j auto")
    browser, failed = Browser(site), False
    try:
        for test in (every_page, nothing_cut_off, tutorials, gate, dark_mode, search, keyboard, phone):
            begin = time.time()
            try:
                result = test(browser)
            except Exception as error:  # the other tests still run
                failed, result = True, f"FAILED\n{error}"
            print(f"{test.__name__.replace('_', ' ')}: {result} ({time.time() - begin:.0f} s)", flush=True)
    finally:
        browser.driver.quit()
    sys.exit(failed)


if __name__ == "__main__":
    main()
