// The view of runs over images: one drawing, and a panel for each run.

import { clone, element } from "./dom.js";
import { Drawing, Pad } from "./drawing.js";
import { Layout, paint, tone } from "./image.js";
import { Panel } from "./panel.js";

const WALK_SECONDS = 14;
const LEAST_PLACES_A_SECOND = 6;

export class ImagesView {
  /** @param models one or two over the same images */
  constructor(service, models, trouble, before) {
    const [model] = models;
    const layout = new Layout(model.shape);
    Object.assign(this, { service, model, layout, seed: 0, focus: { place: 0 }, playing: null });
    this.root = clone("images-view");
    this.root.classList.toggle("two", models.length === 2);
    this.drawing = new Drawing(layout, model.levels);
    this.panels = models.map((each) => new Panel(service, each, this, trouble));
    this.root.querySelector(".panels").append(...this.panels.map((panel) => panel.root));
    this.brushes();
    this.buttons();
    // The same drawing goes on where another run of the same images is chosen.
    if (before?.isOf(model)) Object.assign(this.drawing, { row: before.drawing.row, past: before.drawing.past });
    this.isFresh = !before?.isOf(model);
  }

  isOf(model) {
    return model.levels === this.model.levels && String(model.shape) === String(this.model.shape);
  }

  /** Once the view is in the page, where its canvases have a size. */
  async start() {
    const canvas = this.root.querySelector(".pad");
    this.pad = new Pad(canvas, this.drawing, this.brush, (pixel) => this.lookAtPixel(pixel));
    this.drawing.changed = () => {
      this.pad.show();
      this.sayPixel();
      this.panels.forEach((panel) => panel.drawn());
    };
    this.lookAtPixel(Math.floor(this.layout.pixels / 2 + this.layout.columns / 2));
    this.drawing.changed();
    await this.examples();
    // Half an image says more than none, unless somebody has drawn meanwhile.
    if (!this.first || !this.isFresh || this.drawing.version > 0) return;
    this.drawing.row = [...this.first];
    this.drawing.hide(true);
  }

  stop() {
    this.pause();
    this.pad.stop();
    this.panels.forEach((panel) => panel.stop());
  }

  brushes() {
    const { model, layout, root } = this;
    const grey = root.querySelector(".grey");
    grey.hidden = model.levels === 2 || layout.channels > 1;
    const [level, output] = [grey.querySelector("input"), grey.querySelector("output")];
    level.max = model.levels - 1;
    level.value = model.levels - 1;
    const colour = root.querySelector(".colour");
    colour.hidden = layout.channels === 1;
    root.querySelector(`.widths [value="${layout.columns > 16 ? 2 : 1}"]`).checked = true;
    const chosen = (name) => root.querySelector(`[name=${name}]:checked`).value;
    const picked = colour.querySelector("input");
    const ink = () => (layout.channels === 1 ? [Number(level.value)] : levelsOf(picked.value, model.levels));
    const showInk = () => {
      output.textContent = level.value;
      const row = Array(layout.channels * layout.pixels).fill(0);
      ink().forEach((value, channel) => { row[layout.variable(0, channel)] = value; });
      root.querySelector(".brushes .ink").style.background = `rgb(${tone(layout, row, 0, model.levels)})`;
    };
    [grey, colour].forEach((label) => label.addEventListener("input", showInk));
    showInk();
    const values = { ink, paper: () => Array(layout.channels).fill(0), unknown: () => null };
    this.brush = { value: (name = chosen("brush")) => values[name](), width: () => Number(chosen("width")) };
  }

  buttons() {
    const { drawing, layout } = this;
    const acts = {
      unknown: () => drawing.setAll(null),
      paper: () => drawing.setAll(Array(layout.channels).fill(0)),
      lower: () => drawing.hide(true),
      upper: () => drawing.hide(false),
    };
    this.root.querySelector(".drawing > .buttons").addEventListener("click", ({ target }) => {
      const what = target.dataset.do;
      if (what === "undo") drawing.undo();
      if (!(what in acts)) return;
      drawing.remember();
      acts[what]();
    });
  }

  /** Real images to start from, where the run's data is at hand. */
  async examples() {
    const answer = await this.service.about(this.model.name, "examples?count=12").catch(() => null);
    if (!answer?.examples.length) return;
    const { layout, model } = this;
    const section = this.root.querySelector(".examples");
    section.hidden = false;
    section.querySelector("h3").textContent = `${answer.split === "test" ? "Test" : answer.split} images to start from`;
    section.querySelector(".thumbs").append(...answer.examples.map(({ row, label }, index) => {
      const button = element("button", "thumb", document.createElement("canvas"));
      button.type = "button";
      button.setAttribute("aria-label", `${answer.split} image ${index + 1}${label === null ? "" : `, label ${label}`}`);
      paint(button.firstChild, layout.columns, layout.rows, (pixel) => tone(layout, row, pixel, model.levels));
      button.addEventListener("click", () => this.take(row));
      return button;
    }));
    this.first = answer.examples[0].row;
  }

  take(row) {
    this.drawing.remember();
    this.drawing.become(row);
  }

  drawAgain() {
    this.seed += 1;
    this.panels.forEach((panel) => panel.drawn());
  }

  /** Two runs are compared on one scale. */
  showCosts() {
    const answered = this.panels.filter(({ answer }) => answer !== null);
    const highest = Math.max(...answered.map(({ answer }) => answer.highest));
    answered.forEach((panel) => panel.showCosts(highest));
  }

  /** The focus is a variable where somebody points at a pixel, a place where somebody walks. */
  look(focus) {
    this.focus = focus;
    this.panels.forEach((panel) => panel.looked());
  }

  lookAtPixel(pixel) {
    this.pixel = pixel;
    this.sayPixel();
    if (this.playing === null) this.look({ variable: this.layout.variable(pixel) });
  }

  sayPixel() {
    const { pixel, layout, drawing } = this;
    this.root.querySelector(".pixel").textContent = `${layout.place(pixel)}: ${drawing.words(pixel)}`;
  }

  lookAtPlace(place) {
    this.pause();
    this.look({ place });
  }

  /** Walks on from a place, from the start where it is the last one. */
  play(from, button, variables) {
    if (this.playing !== null) {
      this.pause();
      return;
    }
    const isCalm = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    const speed = Math.max(LEAST_PLACES_A_SECOND, variables / WALK_SECONDS);
    const first = from >= variables - 1 ? 0 : from;
    const begun = performance.now();
    button.textContent = "pause";
    const step = () => {
      const place = Math.min(first + Math.floor((performance.now() - begun) / 1000 * speed), variables - 1);
      this.look({ place });
      if (place === variables - 1) this.pause();
    };
    this.playing = { button, timer: setInterval(step, isCalm ? 1000 : 33) };
  }

  pause() {
    if (this.playing === null) return;
    clearInterval(this.playing.timer);
    this.playing.button.textContent = "play";
    this.playing = null;
  }
}

/** A colour such as #e0a066 in a model's levels. */
function levelsOf(colour, levels) {
  return [1, 3, 5].map((at) => Math.round(Number.parseInt(colour.slice(at, at + 2), 16) * (levels - 1) / 255));
}
