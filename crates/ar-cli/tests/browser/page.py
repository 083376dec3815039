"""Uses the page of `chainrule serve` in a real browser, as somebody would who draws and fills in.

    pip install playwright    (its browsers are not needed: Debian's chromium is driven)
    python page.py target/release/chainrule RUN [RUN …] [--screenshots FOLDER] [--chromium /usr/bin/chromium]
        [--page crates/ar-cli/src/serve/page]    the page's files as they are now, not as they were compiled in

Prints one JSON object: what was checked, and how long a stroke takes to become new completions. Exits 1 where the page
does not do what it should.
"""

import argparse
import contextlib
import json
import pathlib
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

from playwright.sync_api import expect, sync_playwright

WIDTHS = [390, 768, 1400]
SCHEMES = ["light", "dark"]
STROKES = 20

# Notes what the policy forbids, and the time from a stroke until the frame that shows what came of it.
WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.violations.push(`${event.violatedDirective}: ${event.blockedURI}`);
});
window.strokes = [];
let begun = null;
document.addEventListener("pointerdown", (event) => { begun = event.timeStamp; }, true);
new MutationObserver(() => {
  if (begun === null) return;
  const from = begun;
  begun = null;
  requestAnimationFrame(() => window.strokes.push(performance.now() - from));
}).observe(document, { subtree: true, attributes: true, attributeFilter: ["data-version"] });
"""


@contextlib.contextmanager
def served(binary, runs):
    """The address of a service of the runs, on a port that was free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    process = subprocess.Popen([binary, "serve", *runs, "--bind", address], stdout=subprocess.DEVNULL)
    try:
        wait_until_healthy(f"http://{address}/healthz", process)
        yield f"http://{address}/"
    finally:
        process.terminate()
        process.wait(30)


def wait_until_healthy(address, process):
    for _ in range(600):
        if process.poll() is not None:
            sys.exit(f"chainrule serve ended with {process.returncode}")
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    sys.exit("chainrule serve is not healthy after a minute")


def until(page, holds):
    """Polls: what waits inside the page evaluates strings, which the policy forbids."""
    for _ in range(1500):
        if holds():
            return
        page.wait_for_timeout(20)
    raise AssertionError("nothing came in 30 s")


class Visit:
    """A page that notes everything that goes wrong with it."""

    files = None

    def __init__(self, browser, address, width=1400, scheme="light"):
        self.context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        if self.files:
            self.context.route(address, self.from_files)
            self.context.route(f"{address}page/*", self.from_files)
        self.page = self.context.new_page()
        self.wrong = []
        self.open = 0
        self.page.add_init_script(WATCH)
        self.page.on("console", lambda message: message.type in ("error", "warning") and self.wrong.append(message.text))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("request", lambda request: self.begun(request.url, address))
        self.page.on("requestfinished", lambda _: self.ended())
        self.page.on("requestfailed", lambda _: self.ended())
        self.page.goto(address)
        self.page.wait_for_selector("#run option", state="attached")

    def from_files(self, route):
        """A file of the folder under the headers that the service sends with its own."""
        name = urllib.parse.urlparse(route.request.url).path.rpartition("/")[2] or "index.html"
        headers = route.fetch(url=route.request.url.partition("page/")[0]).headers
        kinds = {"html": "text/html", "css": "text/css", "js": "text/javascript"}
        kept = {key: value for key, value in headers.items() if key not in ("content-length", "content-encoding")}
        kept["content-type"] = f"{kinds[name.rpartition('.')[2]]}; charset=utf-8"
        route.fulfill(body=(self.files / name).read_bytes(), headers=kept)

    def begun(self, asked, address):
        self.open += 1
        if not asked.startswith((address, "data:", "blob:")):
            self.wrong.append(f"asked {asked}")

    def ended(self):
        self.open -= 1

    def choose(self, name, beside=""):
        if self.page.input_value("#run") != name:
            self.page.select_option("#run", name)
        expect(self.page.locator(".panel h2").first).to_have_text(name)
        if beside:
            self.page.select_option("#beside", beside)
            expect(self.page.locator(".panel")).to_have_count(2)
        self.settle()

    def settle(self):
        """Until no question is open."""
        self.page.wait_for_selector("[data-version]")
        quiet = 0
        while quiet < 4:
            self.page.wait_for_timeout(25)
            quiet = quiet + 1 if self.open == 0 else 0

    def close(self):
        self.wrong += self.page.evaluate("window.violations")
        assert not self.wrong, self.wrong
        self.context.close()


class Images:
    """What is on the page of a run over images."""

    def __init__(self, visit, model):
        self.visit, self.page, self.model = visit, visit.page, model
        shape = model["shape"]
        first = len(shape) == 2 or shape[0] in (1, 3)
        self.rows, self.columns = shape[-2:] if first else shape[:2]

    def point(self, row, column):
        box = self.page.locator(".pad").bounding_box()
        return (box["x"] + (column + 0.5) * box["width"] / self.columns,
                box["y"] + (row + 0.5) * box["height"] / self.rows)

    def seen(self):
        """What a stroke should change."""
        picture = "canvas => canvas.toDataURL()"
        return {
            "completions": self.page.locator(".strip canvas").evaluate_all("all => all.map((one) => one.toDataURL())"),
            "expected": self.page.locator(".expected canvas").first.evaluate(picture),
            "costs": self.page.locator(".costs > canvas").first.evaluate(picture),
            "number": self.page.locator(".cost b").first.inner_text(),
        }

    def stroke(self, cells):
        self.page.mouse.move(*self.point(*cells[0]))
        self.page.mouse.down()
        for cell in cells[1:]:
            self.page.mouse.move(*self.point(*cell), steps=4)
        self.page.mouse.up()
        self.visit.settle()

    def act(self, what):
        self.page.click(f".drawing [data-do={what}]")
        self.visit.settle()

    def check(self):
        self.drawing_changes_what_is_expected()
        self.hovering_shows_the_conditional()
        self.the_slider_walks()
        self.keys_draw()
        self.a_whole_image_is_scored()
        if "classify" in self.model["uses"]:
            self.classes_follow()
        return self.latency()

    def drawing_changes_what_is_expected(self):
        self.act("unknown")
        before = self.seen()
        middle = self.columns // 2
        self.stroke([(row, middle) for row in range(1, self.rows // 2)])
        after = self.seen()
        for what, value in before.items():
            assert after[what] != value, f"{what} did not change"
        self.act("undo")
        assert self.seen()["number"] == before["number"], "undo"
        self.page.check(".brushes [value=paper]", force=True)
        self.stroke([(0, 0), (0, self.columns - 1)])
        assert self.seen()["expected"] != before["expected"], "paper"
        self.page.check(".brushes [value=ink]", force=True)

    def hovering_shows_the_conditional(self):
        for row, column in [(0, 0), (self.rows - 1, self.columns - 1), (self.rows // 2, 1)]:
            self.page.mouse.move(*self.point(row, column))
            expect(self.page.locator(".which b").first).to_contain_text(f"row {row + 1}, column {column + 1}")
            assert self.page.locator(".faces :is(.bar, rect, polygon)").count() > 0
        place = int(self.page.locator(".panel").first.get_attribute("data-place"))
        output = self.page.locator(".controls output").first
        expect(output).to_have_text(f"t = {place + 1} of {self.model['variables']}")

    def the_slider_walks(self):
        slider = self.page.locator(".controls input").first
        panel = self.page.locator(".panel").first
        picture = self.page.locator(".walk canvas").first
        slider.focus()
        slider.press("Home")
        expect(panel).to_have_attribute("data-place", "0")
        nothing = picture.evaluate("canvas => canvas.toDataURL()")
        slider.press("End")
        expect(panel).to_have_attribute("data-place", str(self.model["variables"] - 1))
        assert picture.evaluate("canvas => canvas.toDataURL()") != nothing, "the walk draws nothing"
        slider.press("ArrowLeft")
        expect(panel).to_have_attribute("data-place", str(self.model["variables"] - 2))
        slider.press("Home")
        play = self.page.locator(".play").first
        play.click()
        expect(play).to_have_text("pause")
        self.page.wait_for_timeout(1000)
        play.click()
        assert int(panel.get_attribute("data-place")) > 0, "playing does not walk"

    def keys_draw(self):
        self.act("unknown")
        pad = self.page.locator(".pad")
        pad.focus()
        for key in ["ArrowUp"] * self.rows + ["ArrowLeft"] * self.columns + ["ArrowDown", "ArrowRight", "1"]:
            pad.press(key)
        self.page.mouse.move(1, 1)
        assert "1 known" in pad.get_attribute("aria-label"), pad.get_attribute("aria-label")
        expect(self.page.locator("#spoken")).not_to_be_empty()
        pad.press("3")
        assert " 0 known" in pad.get_attribute("aria-label")
        pad.press("2")
        pad.press("Control+z")
        assert " 0 known" in pad.get_attribute("aria-label")
        self.visit.settle()

    def a_whole_image_is_scored(self):
        thumbs = self.page.locator(".thumbs button")
        if thumbs.count() == 0:
            self.act("paper")
        else:
            thumbs.nth(1).click()
        expect(self.page.locator(".cost dt").first).to_have_text("−log p of the drawing")
        if self.model["calibration"]:
            expect(self.page.locator(".rank dd b").first).to_be_visible()
        self.act("lower")
        self.page.locator(".strip button").nth(2).click()
        expect(self.page.locator(".cost dt").first).to_have_text("−log p of the drawing")

    def classes_follow(self):
        shares = self.page.locator(".classes .bar").evaluate_all
        widths = "bars => bars.map((bar) => bar.style.width).join()"
        self.act("unknown")
        before = shares(widths)
        self.page.locator(".thumbs button").first.click()
        self.visit.settle()
        assert shares(widths) != before, "p(y | x) did not change"

    def latency(self):
        """From a stroke to the frame with the completions of it, known in part and in no order."""
        if self.page.locator(".thumbs button").count() > 0:
            self.page.locator(".thumbs button").first.click()
        self.act("lower")
        self.page.check(".widths [value='1']", force=True)
        self.page.evaluate("window.strokes.length = 0")
        cells = [(row, column) for row in range(self.rows // 2, self.rows) for column in range(self.columns)]
        for row, column in cells[::-max(1, len(cells) // STROKES)][:STROKES]:
            before = self.page.evaluate("window.strokes.length")
            self.page.mouse.move(*self.point(row, column))
            self.page.wait_for_timeout(30)
            self.page.mouse.down()
            self.page.mouse.up()
            until(self.page, lambda: self.page.evaluate("window.strokes.length") > before)
            self.visit.settle()
        milliseconds = self.page.evaluate("window.strokes")
        return {
            "median_ms": round(statistics.median(milliseconds), 1),
            "slowest_ms": round(max(milliseconds), 1),
            "strokes": len(milliseconds),
            "completions": self.page.locator(".completions small").first.inner_text(),
        }


class Form:
    """What is on the page of a run over a table or over symbols."""

    def __init__(self, visit, model):
        self.visit, self.page, self.model = visit, visit.page, model

    def act(self, what):
        self.page.click(f".form [data-do={what}]")
        self.visit.settle()

    def filled(self):
        return self.page.locator(".cell :is(input, select)").evaluate_all("all => all.filter((one) => one.value !== '').length")

    def notes(self):
        return self.page.locator(".note").all_inner_texts()

    def check(self):
        columns = self.model["variables"]
        # Parts of a row have no probability of their own under some models of numbers.
        takes_parts = "conditional" in self.model["uses"]
        self.act("empty")
        assert self.filled() == 0
        if takes_parts:
            assert self.page.locator(".note :is(.bar, rect, b)").count() >= columns, "empty cells show nothing"
        self.act("draw")
        self.page.wait_for_selector(".cell.filled")
        assert self.filled() > columns // 2, "a draw does not fill the form"
        expect(self.page.locator(".cell.dearest")).to_have_count(1)
        if self.page.locator("[data-do=example]").is_visible():
            self.act("example")
            assert self.filled() > 0
        if takes_parts:
            self.one_cell_changes_the_others()
            self.act("complete")
            assert self.filled() > columns // 2, "the rest is not filled in"
        return {}

    def one_cell_changes_the_others(self):
        self.act("empty")
        before = self.notes()
        fields = self.page.locator(".cell :is(input, select)")
        # The first variable may have nothing to do with the others.
        for filled in range(1, min(fields.count(), 8)):
            field = fields.nth(filled - 1)
            if field.evaluate("one => one.tagName") == "SELECT":
                field.select_option(index=field.locator("option").count() - 1)
            else:
                field.fill("31")
            self.visit.settle()
            after = self.notes()
            cells = f"−log p of {filled} filled cell{'s' if filled > 1 else ''}"
            expect(self.page.locator(".cost dt").first).to_have_text(cells)
            if after[filled:] != before[filled:]:
                return
        raise AssertionError("filled cells say nothing of the others")


def check_recovery(browser, address):
    """A service that goes away, that refuses, and that asks for a token."""
    visit = Visit(browser, address)
    page = visit.page
    visit.settle()
    kinds = {"busy": (429, {"error": {"kind": "busy", "message": "too many wait", "hint": "ask again in a second"}})}
    page.route("**/v1/models/*/*", lambda route: route.fulfill(status=kinds["busy"][0], json=kinds["busy"][1]))
    page.locator(":is(.drawing, .form) :is([data-do=unknown], [data-do=empty])").click()
    expect(page.locator("#trouble")).to_have_text("Too many wait. Ask again in a second.")
    page.unroute("**/v1/models/*/*")
    expect(page.locator("#trouble")).to_be_hidden(timeout=15000)
    page.route("**/v1/**", lambda route: route.abort())
    page.locator(":is(.drawing, .form) [data-do=undo]").click()
    expect(page.locator("#trouble")).to_contain_text("The service does not answer.")
    page.unroute("**/v1/**")
    expect(page.locator("#trouble")).to_be_hidden(timeout=20000)

    def guarded(route):
        if route.request.headers.get("authorization") == "Bearer open sesame":
            return route.continue_()
        return route.fulfill(status=401, json={"error": {"kind": "token", "message": "no token", "hint": "send one"}})

    page.route("**/v1/**", guarded)
    page.reload()
    for token in ["wrong", "open sesame"]:
        expect(page.locator("#token")).to_be_visible()
        page.fill("#token-input", token)
        page.press("#token-input", "Enter")
    page.wait_for_selector("[data-version]")
    expect(page.locator("#token")).to_be_hidden()
    visit.context.close()


def check_looks(browser, address, models, folder):
    """Nothing is wider than the window; pictures of it where they are asked for."""
    for width in WIDTHS:
        for scheme in SCHEMES:
            visit = Visit(browser, address, width, scheme)
            for model in models:
                visit.choose(model["name"])
                if visit.page.locator("[data-do=example]").is_visible():
                    visit.page.click("[data-do=example]")
                    visit.settle()
                wide = visit.page.evaluate("document.documentElement.scrollWidth")
                assert wide <= width, f"{model['name']} at {width}: {wide} wide"
                if folder:
                    path = folder / f"{model['name']}-{width}-{scheme}.png"
                    visit.page.screenshot(path=path, full_page=True)
            visit.close()


def check_beside(browser, address, models, folder):
    """Two runs over the same events see the same drawing."""
    alike = {}
    for model in models:
        alike.setdefault((model["event"], model["levels"], str(model["shape"])), []).append(model["name"])
    pair = next((names[:2] for (event, *_), names in alike.items() if event == "image" and len(names) > 1), None)
    if pair is None:
        return False
    visit = Visit(browser, address)
    visit.choose(*pair)
    versions = visit.page.locator(".panel").evaluate_all("all => all.map((one) => one.dataset.version)")
    assert versions[0] == versions[1], versions
    if folder:
        visit.page.screenshot(path=folder / f"beside-{'-'.join(pair)}.png", full_page=True)
    visit.close()
    return True


def check(browser, address, folder):
    with urllib.request.urlopen(f"{address}v1/models", timeout=30) as answer:
        names = [model["name"] for model in json.load(answer)["models"]]
    models = []
    for name in names:
        with urllib.request.urlopen(f"{address}v1/models/{name}", timeout=30) as answer:
            models.append(json.load(answer))
    checked = {}
    for model in models:
        visit = Visit(browser, address)
        visit.choose(model["name"])
        kind = Images if model["event"] == "image" else Form
        try:
            checked[model["name"]] = kind(visit, model).check()
        except Exception:
            print(f"{model['name']}: {visit.wrong}", file=sys.stderr)
            if folder:
                visit.page.screenshot(path=folder / f"{model['name']}-failed.png", full_page=True)
            raise
        visit.close()
    check_looks(browser, address, models, folder)
    is_beside = check_beside(browser, address, models, folder)
    check_recovery(browser, address)
    return {"runs": checked, "widths": WIDTHS, "schemes": SCHEMES, "beside": is_beside}


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("binary", help="chainrule, or the http:// address of a service that runs")
    arguments.add_argument("runs", nargs="*")
    arguments.add_argument("--screenshots", type=pathlib.Path)
    arguments.add_argument("--page", type=pathlib.Path)
    arguments.add_argument("--chromium", default="/usr/bin/chromium")
    asked = arguments.parse_args()
    Visit.files = asked.page
    if asked.screenshots:
        asked.screenshots.mkdir(parents=True, exist_ok=True)
    is_address = asked.binary.startswith("http://")
    service = contextlib.nullcontext(asked.binary) if is_address else served(asked.binary, asked.runs)
    with service as address, sync_playwright() as playwright:
        # Chromium's sandbox needs rights that containers do not give.
        browser = playwright.chromium.launch(executable_path=asked.chromium, args=["--no-sandbox"])
        print(json.dumps(check(browser, address, asked.screenshots), indent=2))
        browser.close()


if __name__ == "__main__":
    main()
