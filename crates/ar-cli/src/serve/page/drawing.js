// The drawing: what is known of an image, and the canvas, pointer and keys that change it.

import { Board, tone } from "./image.js";
import { say } from "./dom.js";

const MOST_UNDONE = 200;

/** A row of levels in event order; null is a pixel that is not known. All channels of a pixel change together. */
export class Drawing {
  constructor(layout, levels) {
    Object.assign(this, { layout, levels, version: 0, past: [], changed: () => {} });
    this.row = Array(layout.pixels * layout.channels).fill(null);
  }

  get unknown() {
    return this.row.filter((level) => level === null).length;
  }

  /** What comes after this can be undone in one step. */
  remember() {
    this.past.push([...this.row]);
    if (this.past.length > MOST_UNDONE) this.past.shift();
  }

  undo() {
    // A stroke that changed nothing is no step.
    while (this.past.length > 0 && String(this.past.at(-1)) === String(this.row)) this.past.pop();
    if (this.past.length > 0) this.become(this.past.pop());
  }

  become(row) {
    this.row = [...row];
    this.version += 1;
    this.changed();
  }

  /** @param value the levels of the channels, or null. */
  set(pixels, value) {
    const row = [...this.row];
    for (const pixel of pixels) {
      this.layout.variablesOf(pixel).forEach((variable, channel) => { row[variable] = value && value[channel]; });
    }
    if (row.some((level, variable) => level !== this.row[variable])) this.become(row);
  }

  setAll(value) {
    this.set(Array(this.layout.pixels).keys(), value);
  }

  /** Makes the upper or the lower half unknown. */
  hide(isLower) {
    const { pixels, columns, rows } = this.layout;
    const middle = Math.ceil(rows / 2) * columns;
    this.set([...Array(pixels).keys()].filter((pixel) => (pixel >= middle) === isLower), null);
  }

  valueOf(pixel) {
    return this.layout.variablesOf(pixel).map((variable) => this.row[variable]);
  }

  words(pixel) {
    const [value] = this.valueOf(pixel);
    if (value === null) return "unknown";
    if (this.layout.channels > 1) return this.valueOf(pixel).join(", ");
    if (this.levels === 2) return value === 1 ? "ink" : "paper";
    return value === 0 ? "paper" : `grey ${value} of ${this.levels - 1}`;
  }
}

/** Pixels on the way from one to another, both included. */
function line(layout, from, to) {
  const { columns } = layout;
  const [row, column] = [Math.floor(from / columns), from % columns];
  const [down, right] = [Math.floor(to / columns) - row, to % columns - column];
  const steps = Math.max(Math.abs(down), Math.abs(right), 1);
  return Array.from({ length: steps + 1 }, (_, step) =>
    Math.round(row + down * step / steps) * columns + Math.round(column + right * step / steps));
}

/** The pixels that a brush of a width covers at a pixel. */
function dab(layout, pixel, width) {
  const { rows, columns } = layout;
  const before = Math.floor((width - 1) / 2);
  const [top, left] = [Math.floor(pixel / columns) - before, pixel % columns - before];
  const covered = [];
  for (let row = Math.max(top, 0); row < Math.min(top + width, rows); row += 1) {
    for (let column = Math.max(left, 0); column < Math.min(left + width, columns); column += 1) {
      covered.push(row * columns + column);
    }
  }
  return covered;
}

const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
const KEYS = { 1: "ink", Enter: "ink", " ": "ink", 2: "paper", 3: "unknown", Delete: "unknown", Backspace: "unknown" };

/** The canvas to draw on. */
export class Pad {
  /**
   * @param brush {value(name), width()}: the levels that a brush puts down, by default those of the chosen one
   * @param looked is told which pixel the pointer or the cursor is at
   */
  constructor(canvas, drawing, brush, looked) {
    Object.assign(this, { canvas, drawing, brush, looked, cursor: null, last: null });
    this.board = new Board(canvas, drawing.layout, 448);
    canvas.addEventListener("pointerdown", (event) => this.begin(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { this.last = null; });
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("focus", () => this.look(this.cursor ?? 0));
  }

  stop() {
    this.board.stop();
  }

  show() {
    const { layout, row, levels } = this.drawing;
    this.board.paint((pixel) => tone(layout, row, pixel, levels), this.cursor);
    const known = layout.pixels - this.drawing.unknown / layout.channels;
    this.canvas.setAttribute("aria-label",
      `Drawing of ${layout.rows} by ${layout.columns} pixels, ${known} known, ${layout.pixels - known} unknown`);
  }

  look(pixel) {
    this.cursor = pixel;
    this.looked(pixel);
    this.show();
  }

  begin(event) {
    if (event.button !== 0) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.drawing.remember();
    this.last = this.board.pixelAt(event);
    this.stroke(this.last);
  }

  move(event) {
    const pixel = this.board.pixelAt(event);
    if (this.last !== null && pixel !== this.last) this.stroke(pixel);
    else if (pixel !== this.cursor) this.look(pixel);
  }

  stroke(pixel) {
    const { layout } = this.drawing;
    const covered = line(layout, this.last, pixel).flatMap((at) => dab(layout, at, this.brush.width()));
    this.last = pixel;
    this.cursor = pixel;
    this.drawing.set(covered, this.brush.value());
    this.look(pixel);
  }

  key(event) {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z") {
      this.drawing.undo();
    } else if (event.ctrlKey || event.metaKey || event.altKey) {
      return;
    } else if (event.key in ARROWS) {
      this.step(ARROWS[event.key]);
    } else if (event.key in KEYS) {
      this.drawing.remember();
      this.drawing.set([this.cursor ?? 0], this.brush.value(KEYS[event.key]));
    } else {
      return;
    }
    event.preventDefault();
    const pixel = this.cursor ?? 0;
    say("pixel", `${this.drawing.layout.place(pixel)}: ${this.drawing.words(pixel)}.`);
  }

  step([down, right]) {
    const { rows, columns } = this.drawing.layout;
    const at = this.cursor ?? 0;
    const row = Math.min(Math.max(Math.floor(at / columns) + down, 0), rows - 1);
    const column = Math.min(Math.max(at % columns + right, 0), columns - 1);
    this.look(row * columns + column);
  }
}
