// Small helpers for the document, and numbers as words.

/** The first element of a template's content, to be filled. */
export function clone(template) {
  return document.getElementById(template).content.firstElementChild.cloneNode(true);
}

/** An element with a class, words and children. */
export function element(tag, className = "", ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

const unsaid = new Map();
let saying = 0;

/** Tells screen readers, once what changes has come to rest: they would otherwise never finish a sentence. */
export function say(about, words) {
  unsaid.set(about, words);
  clearTimeout(saying);
  saying = setTimeout(() => {
    document.getElementById("spoken").textContent = [...unsaid.values()].join(" ");
    unsaid.clear();
  }, 600);
}

/** A probability in two digits, never 0 or 1 for what is neither. */
export function probability(p) {
  if (p > 0 && p < 0.005) return "< 0.01";
  if (p < 1 && p > 0.995) return "> 0.99";
  return p.toFixed(2);
}

/** A p-value, of which small ones are of interest. */
function pValue(p) {
  return p < 0.1 ? p.toPrecision(2) : p.toFixed(2);
}

/** A cost in nats; the service sends null for that of probability 0. */
export function nats(cost) {
  return cost === null || cost === Infinity ? "∞" : cost.toFixed(2).replace("-", "−");
}

export function count(number, one, many = `${one}s`) {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}

/** What the head of a run says: its name, what it sees, what a test row costs. */
export function describe(section, model, row) {
  section.querySelector("h2").textContent = model.name;
  const dims = model.variables * Math.LN2;
  const cost = model.test_nll_nats;
  const test = cost === null ? "" :
    ` A test ${row} costs ${cost.toFixed(2)} nats` + (model.levels ? `, ${(cost / dims).toFixed(4)} bits/dim.` : ".");
  section.querySelector(".sees").textContent = `Each conditional sees ${model.description}.${test}`;
}

/** The two p-values of a scored row, or why there are none. */
export function showRank(box, model, scored, row) {
  box.hidden = model.calibration === null;
  if (box.hidden) return;
  const [term, words] = [box.querySelector("dt"), box.querySelector("dd")];
  const by = model.ranked_by === "window" ? ", ranked by the window over training rows" : "";
  term.textContent = `p-values among ${count(model.calibration.rows, `validation ${row}`)}${by}`;
  box.classList.toggle("flagged", Boolean(scored?.flagged));
  const isWaiting = typeof scored?.p_low_likelihood !== "number";
  box.classList.toggle("waiting", isWaiting);
  if (isWaiting) {
    words.textContent = row === "image" ? "once nothing is unknown" : "once every cell is filled in";
    return;
  }
  words.replaceChildren(
    element("b", "", pValue(scored.p_low_likelihood)), " low likelihood ",
    element("b", "", pValue(scored.p_typicality)), " typicality",
    scored.flagged ? element("span", "flag", "flagged") : "",
  );
}
