// What one run answers about the drawing: completions, maps, costs, and one conditional at a time.

import { Newest, Particles, rowError } from "./api.js";
import { bars, spread } from "./charts.js";
import { clone, count, describe, element, nats, probability, say, showRank } from "./dom.js";
import { Board, channelName, guessed, lookedAt, paint, shade, tone } from "./image.js";

const COMPLETIONS = 6;
// The service evaluates a row for each value of each die.
const DICE_ROWS = 512;

export class Panel {
  /** @param view of the images: the drawing, the focus and what the panels share. */
  constructor(service, model, view, trouble) {
    const { layout } = view.drawing;
    Object.assign(this, { service, model, view, layout, answer: null, particles: new Particles() });
    this.places = new Map(model.order.map((variable, place) => [variable, place]));
    this.seen = new Map();
    this.root = clone("panel");
    this.part = (selector) => this.root.querySelector(selector);
    describe(this.root, model, "image");
    const newest = (name, work) => new Newest(`${model.name} ${name}`, trouble, work.bind(this));
    this.questions = {
      complete: newest("complete", this.complete),
      costs: newest("conditional", this.costs),
      score: newest("score", this.score),
      classify: newest("classify", this.classify),
      walk: newest("sees", this.walk),
    };
    this.build();
  }

  build() {
    const { model, layout } = this;
    this.board = new Board(this.part(".walk canvas"), layout);
    this.part(".expected h3").textContent = model.levels === 2 ? "Probability of ink" : "Expected";
    this.part(".classes").hidden = !model.uses.includes("classify");
    // A tint would change the colours of colours; there, what is not looked at is dark.
    if (layout.channels > 1) this.part(".looked").textContent = "dark: not looked at";
    paint(this.part(".scale"), 256, 1, (at) => shade(at / 255));
    const slider = this.part(".controls input");
    slider.max = model.variables - 1;
    slider.addEventListener("input", () => this.view.lookAtPlace(Number(slider.value), this.part(".play")));
    this.part(".play").addEventListener("click", () => this.view.play(this.place, this.part(".play"), model.variables));
    this.part(".again").addEventListener("click", () => this.view.drawAgain());
  }

  stop() {
    this.board.stop();
    Object.values(this.questions).forEach((question) => question.stop());
  }

  ask(what, body) {
    return this.service.about(this.model.name, what, body);
  }

  /** The drawing is another one. */
  drawn() {
    const { row, version, unknown } = this.view.drawing;
    const state = { row, version, unknown, seed: this.view.seed };
    this.questions.complete.ask(state);
    if (unknown === 0) this.questions.score.ask(state);
  }

  async complete(state, isStopped) {
    const answer = state.unknown === 0 ? wholly(state.row) : await this.completionsOf(state);
    if (isStopped()) return;
    const [completed] = answer.completions;
    Object.assign(this, { state, completed });
    this.showCompletions(answer);
    if (answer.means) this.showExpected(answer.means);
    if (state.unknown > 0) this.showCost(answer.observed_nll_nats, state.unknown, null);
    this.root.dataset.version = state.version;
    // Completions are what the hand waits for; these follow.
    this.questions.costs.ask({ row: completed, state });
    if (this.model.uses.includes("classify")) this.questions.classify.ask(state);
  }

  async completionsOf({ row, seed }) {
    const { particles } = this;
    const begun = performance.now();
    const { method, particles: used, rows: [answer] } = await this.ask("complete", {
      rows: [row], samples: Math.min(COMPLETIONS, particles.count), particles: particles.count, seed, means: true,
    });
    if (answer.error) throw rowError(answer.error);
    particles.adapt(performance.now() - begun);
    return { ...answer, method, used };
  }

  async costs({ row, state }, isStopped) {
    const { costs } = await this.ask("conditional", { row, variables: [] });
    if (isStopped()) return;
    this.answer = { row, state, costs, dice: new Map() };
    this.shareOut();
    if (state.unknown === 0 && state === this.state) this.showPredicted();
    this.questions.walk.ask(null);
  }

  async score({ row, version }, isStopped) {
    const { rows: [scored] } = await this.ask("score", { rows: [row] });
    if (scored.error) throw rowError(scored.error);
    const isCurrent = !isStopped() && this.view.drawing.version === version;
    if (isCurrent) this.showCost(-(scored.log_prob_nats ?? -Infinity), 0, scored);
  }

  async classify({ row }, isStopped) {
    const { classes, rows: [answer] } = await this.ask("classify", { rows: [row] });
    if (answer.error) throw rowError(answer.error);
    if (isStopped()) return;
    this.part(".classes .bars").replaceChildren(bars(classes.map((label, y) => (
      { label, p: answer.probabilities[y], isMarked: label === answer.prediction }))));
  }

  showCompletions({ completions, method, used }) {
    const words = {
      whole: "nothing is unknown", exact: "exact draws", smc: `by ${used} particles`,
    };
    this.part(".completions small").textContent = words[method];
    this.part(".again").hidden = method === "whole";
    const strip = this.part(".strip");
    while (strip.children.length < completions.length) strip.append(this.completionButton());
    while (strip.children.length > completions.length) strip.lastChild.remove();
    completions.forEach((row, index) => {
      const button = strip.children[index];
      button.completion = row;
      paint(button.firstChild, this.layout.columns, this.layout.rows, (pixel) => this.completedTone(row, pixel));
      const which = `completion ${index + 1} of ${completions.length}`;
      button.setAttribute("aria-label", `${which}${this.ink(row)}, take it as the drawing`);
    });
  }

  completionButton() {
    const button = element("button", "thumb", document.createElement("canvas"));
    button.type = "button";
    button.addEventListener("click", () => this.view.take(button.completion));
    return button;
  }

  /** Pixels that the model drew are blue, where their colour is not itself what the model draws. */
  completedTone(row, pixel) {
    const { levels } = this.model;
    const isGuess = this.state.row[this.layout.variable(pixel)] === null && this.layout.channels === 1;
    return isGuess ? guessed(row[pixel] / (levels - 1)) : tone(this.layout, row, pixel, levels);
  }

  ink(row) {
    return this.model.levels === 2 ? `, ${count(row.filter((level) => level === 1).length, "pixel")} of ink` : "";
  }

  showExpected(means) {
    const { layout } = this;
    const canvas = this.part(".expected canvas");
    paint(canvas, layout.columns, layout.rows, (pixel) => this.completedTone(means, pixel));
    const unknown = means.filter((_, variable) => this.state.row[variable] === null);
    const [low, high] = [Math.min(...unknown), Math.max(...unknown)];
    const format = this.model.levels === 2 ? probability : (level) => level.toFixed(1);
    const words = `${count(unknown.length / layout.channels, "unknown pixel")}, ${format(low)} to ${format(high)}`;
    this.part(".expected figcaption").textContent = words;
    canvas.setAttribute("aria-label", `Map of what is expected of each unknown pixel: ${words}`);
  }

  /** Where nothing is unknown there is still what each bit was expected to be before it was seen. */
  showPredicted() {
    const { layout, model, answer } = this;
    const isOfBits = model.levels === 2 && layout.channels === 1;
    const canvas = this.part(".expected canvas");
    paint(canvas, layout.columns, layout.rows, (pixel) => (
      isOfBits ? guessed(this.inkAt(answer, pixel)) : tone(layout, answer.row, pixel, model.levels)));
    const words = isOfBits ? "each given those before it" : "nothing is unknown";
    this.part(".expected figcaption").textContent = words;
    canvas.setAttribute("aria-label", `Map of what was expected of each pixel: ${words}`);
  }

  /** p(a bit is 1 | those before it) follows from the cost of what it is; that of probability 0 is null. */
  inkAt({ row, costs }, variable) {
    const taken = Math.exp(-(costs[variable] ?? Infinity));
    return row[variable] === 1 ? taken : 1 - taken;
  }

  /** The costs of pixels, their channels together. */
  shareOut() {
    const { costs } = this.answer;
    this.answer.pixels = Array.from({ length: this.layout.pixels }, (_, pixel) => this.layout.sum(costs, pixel));
    this.answer.highest = Math.max(...this.answer.pixels.filter(Number.isFinite), 0);
    this.view.showCosts();
  }

  /** @param highest the end of the scale, which is the same for all runs. */
  showCosts(highest) {
    const { layout, answer: { pixels: each, state } } = this;
    const canvas = this.part(".costs canvas");
    paint(canvas, layout.columns, layout.rows, (pixel) => shade(highest > 0 ? each[pixel] / highest : 0));
    const dearest = each.indexOf(Math.max(...each));
    this.part(".basis").textContent = state.unknown > 0 ? "The first completion" : "";
    this.part(".highest").textContent = `${nats(highest)} nats`;
    canvas.setAttribute("aria-label", `Map of the cost of each pixel given those before it, in the drawing completed by \
the first completion. The dearest, ${layout.place(dearest)}, costs ${nats(each[dearest])} nats.`);
  }

  showCost(cost, unknown, scored) {
    const { layout, model } = this;
    const known = model.variables - unknown;
    const box = this.part(".cost");
    const what = scored ? "−log p of the drawing" : `−log p of ${count(known / layout.channels, "known pixel")}`;
    const perDim = known > 0 && cost !== null ? `${(cost / known / Math.LN2).toFixed(4)} bits/dim` : "";
    box.querySelector("dt").textContent = what;
    box.querySelector("b").textContent = nats(known === 0 ? 0 : cost);
    box.querySelector("span").textContent = `nats ${perDim && "· "}${perDim}`;
    showRank(this.part(".rank"), model, scored, "image");
    say(model.name, `${model.name}: ${what} ${nats(cost)} nats. ${this.part(".completions small").textContent}.`);
  }

  /** The place in this run's ordering of what the view looks at. */
  get place() {
    const { variable, place } = this.view.focus;
    return variable === undefined ? Math.min(place, this.model.variables - 1) : this.places.get(variable);
  }

  looked() {
    if (this.answer !== null) this.questions.walk.ask(null);
  }

  /** Shows the image up to the pixel that is looked at, and its die. */
  async walk(_, isStopped) {
    const { answer, place } = this;
    const variable = this.model.order[place];
    const [seen, die] = await Promise.all([this.seenBy(variable), this.dieOf(answer, place)]);
    if (isStopped()) return;
    this.showWalk(answer.row, place, seen);
    this.showDie(answer, place, die, seen);
  }

  async seenBy(variable) {
    if (!this.seen.has(variable)) {
      const { may_see: variables } = await this.ask(`sees?variable=${variable}`);
      this.seen.set(variable, new Set(variables.map((other) => this.layout.pixelOf(other))));
    }
    return this.seen.get(variable);
  }

  /** p(x_t = each level | x_<t). */
  async dieOf(answer, place) {
    const { order, levels } = this.model;
    const variable = order[place];
    if (levels === 2) {
      const ink = this.inkAt(answer, variable);
      return [1 - ink, ink];
    }
    if (!answer.dice.has(variable)) {
      // A walk asks for those that follow next.
      const variables = order.slice(place, place + Math.max(1, Math.floor(DICE_ROWS / levels)));
      const { conditionals } = await this.ask("conditional", { row: answer.row, variables });
      conditionals.forEach((die) => answer.dice.set(die.variable, die.probabilities));
    }
    return answer.dice.get(variable);
  }

  showWalk(row, place, seen) {
    const { layout, model } = this;
    const isDrawn = (pixel) => layout.variablesOf(pixel).some((variable) => this.places.get(variable) < place);
    const isGrey = layout.channels === 1;
    const shown = row.map((level, variable) => (this.places.get(variable) < place ? level : 0));
    const colour = (pixel) => {
      if (!isDrawn(pixel)) return null;
      const plain = tone(layout, shown, pixel, model.levels);
      if (isGrey) return seen.has(pixel) ? lookedAt(plain[0] / 255) : plain;
      return seen.has(pixel) ? plain : plain.map((level) => 0.25 * level);
    };
    const at = layout.pixelOf(model.order[place]);
    this.board.paint(colour, at);
    this.part(".walk canvas").setAttribute("aria-label",
      `The first ${place} of ${model.variables} drawn; the conditional of ${layout.place(at)} may look at ${count(seen.size, "pixel")}`);
  }

  showDie({ row, costs }, place, die, seen) {
    const { layout, model } = this;
    const variable = model.order[place];
    const level = row[variable];
    const at = layout.pixelOf(variable);
    const slider = this.part(".controls input");
    slider.value = place;
    this.part(".controls output").textContent = `t = ${place + 1} of ${model.variables}`;
    const where = layout.place(at) + (layout.channels === 1 ? "" : `, ${channelName(layout, variable)}`);
    slider.setAttribute("aria-valuetext", `${place + 1} of ${model.variables}, ${where}`);
    const name = model.levels === 2 ? ["paper", "ink"][level] : `level ${level}`;
    const from = this.view.drawing.row[variable] === null ? "drawn" : "known";
    this.part(".which").replaceChildren(element("b", "", where),
      ` may look at ${count(seen.size, "pixel")}; ${from}: ${name}, ${nats(costs[variable])} nats`);
    this.part(".faces").replaceChildren(model.levels === 2 ?
      bars([1, 0].map((bit) => ({ label: ["paper", "ink"][bit], p: die[bit], isMarked: bit === level }))) :
      spread(die, level, [0, model.levels - 1], `p of each of ${die.length} levels, ${name} has ${probability(die[level])}`));
    say(`${model.name} die`, `${model.name}: ${name} at place ${place + 1} has ${probability(die[level])}.`);
    this.root.dataset.place = place;
  }
}

/** What there is to say of a drawing without unknown pixels. */
function wholly(row) {
  return { completions: [row], means: null, observed_nll_nats: null, method: "whole" };
}
