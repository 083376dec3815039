// The view of runs over tables and over symbols: a form, and in each cell what the runs expect there.

import { Newest, Particles, rowError } from "./api.js";
import { bars, spread } from "./charts.js";
import { clone, count, describe, element, nats, probability, say, showRank } from "./dom.js";

const MOST_BARS = 5;

/** The columns of a model; those of symbols and of nameless numbers are numbered. */
export function columnsOf(model) {
  if (model.columns) return model.columns;
  const isShort = model.levels !== null && model.levels <= 32;
  return Array.from({ length: model.variables }, (_, at) => ({
    name: `x${at}`, can_be_missing: false, type: isShort ? "category" : model.levels === null ? "real" : "integer",
    labels: isShort ? Array.from({ length: model.levels }, (_, level) => String(level)) : undefined,
  }));
}

/** The field in which a column is filled in. Empty is what is not known. */
function fieldOf(column) {
  if (column.type === "category") {
    const field = element("select", "", new Option("not filled in", ""));
    field.append(...column.labels.map((label) => new Option(label, label)));
    return field;
  }
  const field = element("input");
  field.type = "number";
  field.placeholder = "not filled in";
  field.step = { integer: "1", decimal: String(10 ** -(column.places ?? 0)) }[column.type] ?? "any";
  return field;
}

/** What a run answers, above the form: the cost of what is filled in, and p-values of a full row. */
class Summary {
  constructor(model) {
    this.model = model;
    this.root = clone("summary");
    describe(this.root, model, "row");
  }

  show(cost, filled, method, scored) {
    const what = scored ? "−log p of the row" : `−log p of ${count(filled, "filled cell")}`;
    this.root.querySelector(".cost dt").textContent = what;
    const isKnown = filled === 0 || cost !== null;
    this.root.querySelector(".cost b").textContent = isKnown ? nats(filled === 0 ? 0 : cost) : "–";
    const how = filled > 0 && !scored && method ? ` · ${method}` : "";
    this.root.querySelector(".cost span").textContent = isKnown ? `nats${how}` : "once every cell is filled in";
    showRank(this.root.querySelector(".rank"), this.model, scored, "row");
    say(this.model.name, `${this.model.name}: ${what} ${nats(cost)} nats.`);
  }
}

export class FormView {
  constructor(service, models, trouble, before) {
    const [model] = models;
    Object.assign(this, { service, models, model, seed: 0, version: 0, next: 0, past: [], columns: columnsOf(model) });
    this.root = clone("form-view");
    this.summaries = models.map((each) => new Summary(each));
    this.root.querySelector(".summaries").append(...this.summaries.map((summary) => summary.root));
    this.cells = this.columns.map((column) => this.cell(column));
    this.root.querySelector(".cells").append(...this.cells.map(({ root }) => root));
    this.particles = models.map(() => new Particles());
    this.questions = models.map((each, index) => new Newest(`${each.name} cells`, trouble, (state, isStopped) =>
      this.answer(each, index, state, isStopped)));
    this.filling = new Newest("form", trouble, (act, isStopped) => this.fill(act, isStopped));
    this.root.querySelector("[data-do=complete]").hidden = !model.uses.includes("complete");
    this.root.querySelector(".buttons").addEventListener("click", ({ target }) => this.act(target.dataset.do));
    this.row = before?.isOf(model) ? before.row : Array(this.columns.length).fill(null);
  }

  isOf(model) {
    const names = (columns) => JSON.stringify(columns.map(({ name, labels }) => [name, labels]));
    return names(columnsOf(model)) === names(this.columns);
  }

  async start() {
    this.become(this.row);
    const found = await this.service.about(this.model.name, "examples?count=12").catch(() => null);
    if (!found?.examples.length) return;
    this.examples = found.examples.map(({ row }) => row);
    const button = this.root.querySelector("[data-do=example]");
    button.hidden = false;
    button.textContent = `a ${found.split} row`;
  }

  stop() {
    [...this.questions, this.filling].forEach((question) => question.stop());
  }

  cell(column) {
    const field = fieldOf(column);
    const name = element("label", "", element("span", "name", column.name), field);
    const notes = this.models.map(() => element("div", "note"));
    field.addEventListener("input", () => {
      this.past.push(this.row);
      this.row = this.cells.map((cell) => this.read(cell));
      this.ask();
    });
    return { column, field, notes, root: element("section", "cell", name, ...notes) };
  }

  read({ column, field }) {
    if (field.value === "") return null;
    return column.type === "category" && this.model.event !== "symbols" ? field.value : Number(field.value);
  }

  /** @param row values in the order of the columns, or by their names */
  become(row) {
    const values = Array.isArray(row) ? row : this.columns.map(({ name }) => row[name] ?? null);
    this.row = values;
    this.cells.forEach(({ field }, at) => { field.value = values[at] ?? ""; });
    this.ask();
  }

  act(what) {
    if (what === "undo" && this.past.length > 0) this.become(this.past.pop());
    else if (what === "empty") this.change(Array(this.columns.length).fill(null));
    else if (what === "example") this.change(this.examples[this.next++ % this.examples.length]);
    else if (what === "draw" || what === "complete") this.filling.ask(what);
  }

  change(row) {
    this.past.push(this.row);
    this.become(row);
  }

  async fill(what, isStopped) {
    this.seed += 1;
    const { seed, model } = this;
    const body = what === "draw" ? { count: 1, seed } : { rows: [this.sent()], samples: 1, particles: 64, seed };
    const { rows: [answer] } = await this.service.about(model.name, what === "draw" ? "sample" : "complete", body);
    if (answer.error) throw rowError(answer.error);
    if (!isStopped()) this.change(what === "draw" ? answer : answer.completions[0]);
  }

  /** The row as the service takes it. */
  sent() {
    if (!this.model.columns) return this.row;
    return Object.fromEntries(this.columns.map(({ name }, at) => [name, this.row[at]]));
  }

  ask() {
    this.version += 1;
    this.questions.forEach((question) => question.ask({ row: this.row, sent: this.sent(), version: this.version }));
  }

  async answer(model, index, state, isStopped) {
    const ask = !model.uses.includes("conditional") ? this.wholeRow : model.event === "symbols" ? this.symbols : this.table;
    const { cells, cost, method, scored } = await ask.call(this, model, index, state);
    if (isStopped()) return;
    this.summaries[index].show(cost, state.row.filter((value) => value !== null).length, method, scored);
    this.showCells(index, cells, state.row);
    this.root.dataset.version = state.version;
  }

  /** The cells of a table: a distribution of each given all others, and the cost of those filled in. */
  async table(model, index, { row, sent }) {
    const { particles } = this;
    const begun = performance.now();
    const [answer, scored] = await Promise.all([
      this.service.about(model.name, "conditional", { row: sent, particles: 4 * particles[index].count, seed: 0 }),
      this.scored(model, row, sent),
    ]);
    particles[index].adapt(performance.now() - begun);
    const method = answer.method === "smc" ? "by particles" : answer.method;
    return { cells: answer.cells, cost: costOfRow(scored ?? answer), method, scored };
  }

  /** Symbols: the mean of each that is not filled in; costs once all are. */
  async symbols(model, index, { row, sent }) {
    const particles = this.particles[index];
    const begun = performance.now();
    const [{ method, rows: [answer] }, scored] = await Promise.all([
      this.service.about(model.name, "complete", { rows: [sent], samples: 1, particles: particles.count, seed: 0, means: true }),
      this.scored(model, row, sent),
    ]);
    if (answer.error) throw rowError(answer.error);
    particles.adapt(performance.now() - begun);
    const cells = costsOf(row, scored).map((cell, at) => (cell.filled ? cell : { ...cell, mean: answer.means[at] }));
    const cost = scored ? costOfRow(scored) : answer.observed_nll_nats;
    return { cells, cost, method: method === "smc" ? "by particles" : method, scored };
  }

  /** Where parts of a row have no probability of their own: costs once all cells are filled in. */
  async wholeRow(model, _, { row, sent }) {
    const scored = await this.scored(model, row, sent);
    return { cells: costsOf(row, scored), cost: scored ? costOfRow(scored) : null, method: "", scored };
  }

  /** The score of a row in which no cell is unknown; what can be missing counts as missing where it is empty. */
  async scored(model, row, sent) {
    const isFull = row.every((value, at) => value !== null || columnsOf(model)[at].can_be_missing);
    if (!isFull) return null;
    const { rows: [scored] } = await this.service.about(model.name, "score", { rows: [sent], costs: true });
    if (scored.error) throw rowError(scored.error);
    return scored;
  }

  showCells(index, cells, row) {
    const costs = cells.map((cell, at) => costOfCell(cell, this.columns[at]));
    const said = costs.filter((cost) => cost !== null);
    const dearest = said.length < 2 ? -1 : costs.indexOf(Math.max(...said));
    const highest = Math.max(...said.filter(Number.isFinite), 1);
    this.cells.forEach(({ root, column, notes }, at) => {
      const isDearest = at === dearest;
      notes[index].classList.toggle("dearest", isDearest);
      root.classList.toggle("dearest", this.cells[at].notes.some((note) => note.classList.contains("dearest")));
      root.classList.toggle("filled", row[at] !== null);
      notes[index].replaceChildren(
        ...(this.models.length > 1 ? [element("p", "run", this.models[index].name)] : []),
        ...priceOf(cells[at], costs[at], highest, isDearest),
        ...this.distributionOf(cells[at], column, row[at]));
    });
  }

  distributionOf(cell, column, value) {
    if (cell.mean !== undefined) return meanOf(cell.mean, this.model.levels);
    if (!cell.distribution) return [];
    return cell.distribution.labels ? [labelsOf(cell, value)] : [numbersOf(cell, column, value)];
  }
}

function costsOf(row, scored) {
  return row.map((value, at) => ({ filled: value !== null, nats: scored?.costs?.[at] }));
}

/** −log p, where null is that of probability 0. */
function costOfRow({ log_prob_nats: logProb }) {
  return logProb === null ? Infinity : -logProb;
}

/** What a filled cell costs, null where that is not said. */
function costOfCell({ filled, nats: cost }, column) {
  if (!filled || cost === undefined) return null;
  // The estimate of a label's cost may fall below 0, which no label costs.
  return Math.max(cost ?? Infinity, column.type === "category" ? 0 : -Infinity);
}

function priceOf(cell, cost, highest, isDearest) {
  if (cost === null) return [];
  const bar = element("span", "bar");
  bar.style.width = `${100 * Math.min(Math.max(cost / highest, 0), 1)}%`;
  const words = [element("b", "", nats(cost)), " nats"];
  if (isDearest) words.push(element("span", "flag", "the dearest"));
  const made = [element("p", "price", ...words), element("div", "track", bar)];
  if (isDearest && (cell.expected ?? null) !== null) {
    const { expected } = cell;
    made.push(element("p", "expects", "The model expected ", element("b", "", expected.toLocaleString("en")), "."));
  }
  return made;
}

/** The likeliest labels, that of the cell among them. */
function labelsOf({ distribution, nats: cost }, value) {
  const entries = distribution.labels.map(({ label, p }) => (
    { label: label ?? "missing", p, isMarked: label !== null && label === value }));
  const shown = entries.slice(0, MOST_BARS);
  const isShown = shown.some(({ isMarked }) => isMarked);
  if (value !== null && !isShown) {
    const own = entries.find(({ isMarked }) => isMarked) ?? { label: value, p: Math.exp(-cost), isMarked: true };
    shown.splice(MOST_BARS - 1, 1, own);
  }
  const rest = 1 - shown.reduce((sum, { p }) => sum + p, 0);
  const others = distribution.labels.length > shown.length || distribution.others > 0;
  return bars([...shown, ...(others && rest > 0.005 ? [{ label: "others", p: rest }] : [])]);
}

function numbersOf({ distribution }, column, value) {
  const { low, high, bins, median, missing } = distribution;
  const written = (number) => Number(number.toFixed(column.places ?? (column.type === "integer" ? 0 : 3))).toLocaleString("en");
  // Tails lie outside.
  const isInside = value !== null && value >= low && value <= high;
  const marked = isInside ? Math.min(Math.floor((value - low) / (high - low) * bins.length), bins.length - 1) : null;
  const words = `median ${written(median)}${missing > 0.005 ? `, missing ${probability(missing)}` : ""}`;
  const chart = spread(bins, marked, [written(low), written(high)], `From ${written(low)} to ${written(high)}, ${words}`);
  chart.querySelector(".ends").children[0].after(element("span", "middle", words));
  return chart;
}

function meanOf(mean, levels) {
  if (levels === 2) return [bars([{ label: "1", p: mean }, { label: "0", p: 1 - mean }])];
  return [element("p", "price", "expected ", element("b", "", mean.toFixed(2)))];
}
