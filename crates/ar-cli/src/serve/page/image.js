// Where the pixels of an event are, their colours, and canvases that show them.

/** The layout of an image event: [rows, columns], [channels, rows, columns] or [rows, columns, channels]. */
export class Layout {
  constructor(shape) {
    const isFirst = shape.length === 2 || shape[0] === 1 || shape[0] === 3;
    const [channels, rows, columns] = shape.length === 2 ? [1, ...shape] :
      isFirst ? shape : [shape[2], shape[0], shape[1]];
    Object.assign(this, { channels, rows, columns, isFirst, pixels: rows * columns });
  }

  /** The variable of a channel of a pixel; pixels are counted row by row. */
  variable(pixel, channel = 0) {
    return this.isFirst ? channel * this.pixels + pixel : pixel * this.channels + channel;
  }

  variablesOf(pixel) {
    return Array.from({ length: this.channels }, (_, channel) => this.variable(pixel, channel));
  }

  pixelOf(variable) {
    return this.isFirst ? variable % this.pixels : Math.floor(variable / this.channels);
  }

  channelOf(variable) {
    return this.isFirst ? Math.floor(variable / this.pixels) : variable % this.channels;
  }

  /** For people, who count from 1. */
  place(pixel) {
    return `row ${Math.floor(pixel / this.columns) + 1}, column ${pixel % this.columns + 1}`;
  }

  sum(values, pixel) {
    return this.variablesOf(pixel).reduce((sum, variable) => sum + (values[variable] ?? Infinity), 0);
  }
}

const CHANNELS = ["red", "green", "blue"];

export function channelName(layout, variable) {
  return CHANNELS[layout.channelOf(variable)];
}

/** The colour of a pixel of a row as the model's levels have it, null where it is not known. */
export function tone(layout, row, pixel, levels) {
  const at = (channel) => row[layout.variable(pixel, Math.min(channel, layout.channels - 1))];
  if (at(0) === null) return null;
  return [at(0), at(1), at(2)].map((level) => Math.round(level * 255 / (levels - 1)));
}

const between = (from, to) => (share) => from.map((low, i) => Math.round(low + (to[i] - low) * share));

/** What the model says of a pixel that nobody drew is blue, what a conditional looks at is amber. */
export const guessed = between([17, 35, 61], [205, 226, 250]);
export const lookedAt = between([92, 51, 14], [250, 205, 148]);

const VIRIDIS = [
  [68, 1, 84], [72, 36, 117], [65, 68, 135], [53, 95, 141], [42, 120, 142], [33, 145, 140],
  [34, 168, 132], [68, 191, 112], [122, 209, 81], [189, 223, 38], [253, 231, 37],
];

/** The colour at a share of the scale of costs, 0 to 1, equally far apart for the eye. */
export function shade(share) {
  const at = Math.min(Math.max(share, 0), 1) * (VIRIDIS.length - 1);
  const low = Math.min(Math.floor(at), VIRIDIS.length - 2);
  return between(VIRIDIS[low], VIRIDIS[low + 1])(at - low);
}

/** Shows an image one canvas pixel a pixel; the style sheet enlarges it. `colour` gives [red, green, blue]. */
export function paint(canvas, columns, rows, colour) {
  if (canvas.width !== columns || canvas.height !== rows) Object.assign(canvas, { width: columns, height: rows });
  const image = new ImageData(columns, rows);
  for (let pixel = 0; pixel < columns * rows; pixel += 1) {
    image.data.set([...colour(pixel), 255], 4 * pixel);
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

const HATCHED = { ground: "#4874c4", line: "#86a8e4" };

/** A canvas whose pixels are squares of many screen pixels, so that there is room for hatching and outlines. */
export class Board {
  /** @param most the widest it may be in CSS pixels; without it, it is as wide as its place. */
  constructor(canvas, layout, most = Infinity) {
    Object.assign(this, { canvas, layout, most, paintAgain: () => {} });
    this.watch = new ResizeObserver(() => this.fit());
    this.watch.observe(canvas.parentElement);
    this.fit();
  }

  stop() {
    this.watch.disconnect();
  }

  fit() {
    const { canvas, layout } = this;
    this.ratio = window.devicePixelRatio || 1;
    const width = Math.min(canvas.parentElement.clientWidth, this.most);
    const exact = width * this.ratio / layout.columns;
    const cell = Math.max(2, this.most === Infinity ? Math.ceil(exact) : Math.floor(exact));
    if (cell === this.cell) return;
    this.cell = cell;
    canvas.width = cell * layout.columns;
    canvas.height = cell * layout.rows;
    // Whole screen pixels where one draws.
    canvas.style.width = this.most === Infinity ? "100%" : `${canvas.width / this.ratio}px`;
    this.paintAgain();
  }

  /** The pixel under a pointer, inside the image even where a stroke leaves it. */
  pixelAt(event) {
    const { left, top, width, height } = this.canvas.getBoundingClientRect();
    const inside = (share, cells) => Math.min(Math.max(Math.floor(share * cells), 0), cells - 1);
    const { rows, columns } = this.layout;
    return inside((event.clientY - top) / height, rows) * columns + inside((event.clientX - left) / width, columns);
  }

  corner(pixel) {
    return [pixel % this.layout.columns * this.cell, Math.floor(pixel / this.layout.columns) * this.cell];
  }

  /** @param colour of a pixel, null where it is unknown; `outlined` is a pixel or null. */
  paint(colour, outlined) {
    this.paintAgain = () => this.paint(colour, outlined);
    const context = this.canvas.getContext("2d");
    const unknown = new Path2D();
    for (let pixel = 0; pixel < this.layout.pixels; pixel += 1) {
      const [x, y] = this.corner(pixel);
      const rgb = colour(pixel);
      if (rgb === null) {
        unknown.rect(x, y, this.cell, this.cell);
      } else {
        context.fillStyle = `rgb(${rgb})`;
        context.fillRect(x, y, this.cell, this.cell);
      }
    }
    this.hatch(context, unknown);
    this.rule(context);
    if (outlined !== null) this.outline(context, outlined);
  }

  hatch(context, region) {
    const { width, height } = this.canvas;
    context.save();
    context.clip(region);
    context.fillStyle = HATCHED.ground;
    context.fillRect(0, 0, width, height);
    context.strokeStyle = HATCHED.line;
    context.lineWidth = 1.5 * this.ratio;
    context.beginPath();
    for (let x = -height; x < width; x += 7 * this.ratio) {
      context.moveTo(x, height);
      context.lineTo(x + height, 0);
    }
    context.stroke();
    context.restore();
  }

  /** Lines between pixels that are large enough to have some. */
  rule(context) {
    if (this.cell < 7 * this.ratio) return;
    context.fillStyle = "rgb(128 128 128 / 28%)";
    for (let x = this.cell; x < this.canvas.width; x += this.cell) context.fillRect(x, 0, 1, this.canvas.height);
    for (let y = this.cell; y < this.canvas.height; y += this.cell) context.fillRect(0, y, this.canvas.width, 1);
  }

  outline(context, pixel) {
    const [x, y] = this.corner(pixel);
    const thick = Math.max(2, Math.round(1.5 * this.ratio));
    for (const [colour, out] of [["#171614", thick], ["#ffffff", 0]]) {
      context.strokeStyle = colour;
      context.lineWidth = thick;
      const around = this.cell + 2 * out + thick;
      context.strokeRect(x - out - thick / 2, y - out - thick / 2, around, around);
    }
  }
}
