// Distributions as charts: bars with words, columns, an area.

import { element, probability } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";

function shape(tag, attributes, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** A bar for each {label, p, isMarked}. They read as a list. */
export function bars(entries) {
  const list = element("ul", "bar-list");
  for (const { label, p, isMarked } of entries) {
    const bar = element("span", "bar");
    bar.style.width = `${100 * Math.min(p, 1)}%`;
    const line = element("li", isMarked ? "marked" : "",
      element("span", "label", label), element("span", "track", bar), element("span", "share", probability(p)));
    line.title = label;
    list.append(line);
  }
  return list;
}

const WIDTH = 320;
const HEIGHT = 96;
const MOST_COLUMNS = 64;

/**
 * The probabilities of values in their order: columns where there is room for them, an area where there is not.
 * `marked` is the value that is there, or null; `ends` are the words at both ends of the axis.
 */
export function spread(probabilities, marked, ends, words) {
  const highest = Math.max(...probabilities, 1e-9);
  const wide = WIDTH / probabilities.length;
  const high = (p) => (HEIGHT - 2) * p / highest;
  const picture = shape("svg", {
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": words,
  });
  if (probabilities.length <= MOST_COLUMNS) {
    const gap = Math.min(2, wide / 4);
    probabilities.forEach((p, value) => {
      picture.append(shape("rect", {
        x: value * wide + gap / 2, y: HEIGHT - high(p), width: wide - gap, height: high(p),
        class: value === marked ? "marked" : "",
      }));
    });
  } else {
    const points = probabilities.map((p, value) => `${((value + 0.5) * wide).toFixed(2)},${(HEIGHT - high(p)).toFixed(2)}`);
    picture.append(shape("polygon", { points: `0,${HEIGHT} ${points.join(" ")} ${WIDTH},${HEIGHT}` }));
    if (marked !== null) {
      picture.append(shape("rect", { x: (marked + 0.5) * wide - 1, y: 0, width: 2, height: HEIGHT, class: "marked" }));
    }
  }
  return element("div", "spread", picture,
    element("div", "ends", element("span", "", ends[0]), element("span", "", ends[1])));
}
