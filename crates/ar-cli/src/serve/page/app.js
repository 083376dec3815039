// The page: which runs it shows, what goes wrong, and the token.

import { Newest, Service, ServiceError } from "./api.js";
import { element } from "./dom.js";
import { FormView, columnsOf } from "./form.js";
import { ImagesView } from "./images.js";

const byId = (id) => document.getElementById(id);

/** Errors that last, by what was asked; the newest is shown in words. */
const trouble = {
  errors: new Map(),

  show(name, error) {
    if (!(error instanceof ServiceError)) throw error;
    this.errors.delete(name);
    this.errors.set(name, error);
    this.write();
  },

  clear(name) {
    if (this.errors.delete(name)) this.write();
  },

  write() {
    const newest = [...this.errors.values()].at(-1);
    byId("trouble").hidden = newest === undefined;
    if (newest) byId("trouble").replaceChildren(element("strong", "", sentence(newest.message)), ` ${sentence(newest.hint)}`);
  },
};

function sentence(words) {
  return words && `${words[0].toUpperCase()}${words.slice(1)}${/[.!?]$/.test(words) ? "" : "."}`;
}

/** Shows the form for the bearer token; resolves when somebody has sent it. */
function askToken() {
  const form = byId("token");
  form.hidden = false;
  byId("token-input").focus();
  return new Promise((resolve) => {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      form.hidden = true;
      resolve(byId("token-input").value);
      byId("token-input").value = "";
    }, { once: true });
  });
}

const service = new Service(askToken);
let view = null;

/** Whether two runs can see the same drawing, or the same form. */
function areAlike(one, other) {
  return one.event === other.event && one.levels === other.levels && String(one.shape) === String(other.shape);
}

function offerBeside(models, chosen, beside) {
  const others = models.filter((model) => model.name !== chosen.name && areAlike(model, chosen));
  const select = byId("beside");
  byId("beside-label").hidden = others.length === 0;
  select.replaceChildren(new Option("nothing", ""), ...others.map(({ name }) => new Option(name, name)));
  select.value = others.some(({ name }) => name === beside) ? beside : "";
}

async function show(models) {
  const run = byId("run");
  const chosen = models.find(({ name }) => name === run.value);
  offerBeside(models, chosen, byId("beside").value);
  const names = [chosen.name, byId("beside").value].filter(Boolean);
  const described = await Promise.all(names.map((name) => service.model(name)));
  // Tables are alike only if their columns are, which the list does not say.
  const columns = described.map((model) => JSON.stringify(columnsOf(model)));
  const shown = columns[1] === columns[0] ? described : described.slice(0, 1);
  if (shown.length < described.length) byId("beside").value = "";
  const View = chosen.event === "image" ? ImagesView : FormView;
  const before = view instanceof View ? view : null;
  view?.stop();
  view = new View(service, shown, trouble, before);
  byId("work").replaceChildren(view.root);
  document.title = `${chosen.name} · chainrule`;
  await view.start();
}

async function start() {
  const { models } = await service.models();
  byId("run").replaceChildren(...models.map(({ name }) => new Option(name, name)));
  const runs = new Newest("run", trouble, () => show(models));
  const choose = () => runs.ask(null);
  byId("run").addEventListener("change", choose);
  byId("beside").addEventListener("change", choose);
  choose();
}

// Like any question, this one is asked until the service answers.
new Newest("models", trouble, start).ask(null);
