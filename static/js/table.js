// The table of all runs. A run is chosen by its link, so that the address names it; arrow keys go along them.

import { byId, make, setState, setText } from "./dom.js";
import { count, iterations, kind, loss, model, moment, state, title, tone } from "./format.js";

export class RunTable {
  #body = byId("run-rows");
  #rows = new Map();

  constructor() {
    this.#body.addEventListener("click", (event) => choose(event));
    this.#body.addEventListener("keydown", (event) => this.#move(event));
  }

  /** Show `runs` in their order, of `total` in all; `chosen` is the id of the one on display. */
  show(runs, total, chosen) {
    setText(byId("runs-count"), count(total));
    const known = this.#rows;
    this.#rows = new Map(runs.map((run) => [run.id, known.get(run.id) ?? newRow(run)]));
    runs.forEach((run, place) => {
      const row = this.#rows.get(run.id);
      fill(row, run, run.id === chosen);
      // Moved only where it must: a row that is moved loses the focus.
      const there = this.#body.children[place] ?? null;
      if (there !== row) this.#body.insertBefore(row, there);
    });
    while (this.#body.children.length > runs.length) this.#body.lastChild.remove();
  }

  #move(event) {
    const links = [...this.#body.querySelectorAll("a")], here = links.indexOf(document.activeElement);
    const target = { ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: links.length - 1 }[event.key];
    if (target === undefined || !links[target]) return;
    event.preventDefault();
    links[target].focus();
  }
}

function newRow(run) {
  const link = make("a", { href: `#run=${encodeURIComponent(run.id)}` });
  const name = make("th", { scope: "row", class: "words" }, link, make("small", {}));
  const cell = (style) => make("td", style ? { class: style } : {});
  const standing = make("td", { class: "words" }, make("span", { class: "state" }));
  return make("tr", {}, cell(), name, standing, cell("wide"), cell(), cell(), cell("wide"));
}

function fill(row, run, chosen) {
  const [number, name, standing, progress, training, validation, begun] = row.children;
  const [link, about] = name.children;
  setText(number, String(run.number));
  setText(link, model(run));
  setText(about, run.dataset ? `${kind(run)} on ${run.dataset}` : run.id);
  name.title = title(run);
  setState(standing.firstChild, state(run), tone(run));
  setText(progress, iterations(run));
  setText(training, loss(run.training_loss));
  setText(validation, loss(run.validation_loss));
  setText(begun, moment(run.created));
  row.classList.toggle("chosen", chosen);
  if (chosen) link.setAttribute("aria-current", "true");
  else link.removeAttribute("aria-current");
}

function choose(event) {
  const selecting = window.getSelection().type === "Range";
  if (!event.target.closest("a") && !selecting) event.target.closest("tr").querySelector("a").click();
}
