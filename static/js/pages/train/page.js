// Setting up a run: the form on the left, what the run will be on the right, and starting it.

import { html, nothing, render } from "lit-html";
import { addCommand } from "../../frame/commands.js";
import { bind } from "../../frame/keys.js";
import { go, setQuery } from "../../frame/router.js";
import { toast, toastError } from "../../frame/toasts.js";
import { action } from "../../parts/action.js";
import { Chart } from "../../parts/chart.js";
import { confirm } from "../../parts/dialog.js";
import { count, rate, statement } from "../../parts/format.js";
import { icon } from "../../parts/icons.js";
import { pageHead } from "../../parts/page.js";
import { get, path, post } from "../../state/api.js";
import { library, refreshLibrary } from "../../state/models.js";
import { active, runs } from "../../state/runs.js";
import { watch } from "../../state/store.js";
import { Preflight } from "./ask.js";
import { formCards } from "./form.js";
import { presetPicker } from "./pickers.js";
import { planCard } from "./plan.js";
import { deletePreset, keepPreset } from "./presets.js";
import { chosenOf, remember, remembered, same, settingsOf, withModel, without, withSettings, withValue } from "./values.js";
import { openYaml } from "./yaml.js";

const GIVEN = ["training_type", "model_name", "start_from", "dataset", "general_dataset", "data_mixture_ratio", "from", "without", "preset"];

export async function open({ element, query, signal }) {
  const [{ fields, sections }, { presets }, { datasets }] = await Promise.all([
    get("/api/training/fields", { signal }), get("/api/presets", { signal }), get("/api/dataset/info", { signal }), refreshLibrary({ signal }),
  ]);
  const setup = new Setup({ fields, sections, presets, datasets }, element, signal);
  await setup.begin(query);
}

class Setup {
  wish = { values: { training_type: "cpt" }, preset: "", all: false, shown: new Set(), typed: {} };
  chart = document.createElement("div");
  #element;
  #signal;
  #curve;
  #draw = () => {};

  constructor({ fields, sections, presets, datasets }, element, signal) {
    Object.assign(this, { fields, sections, presets, datasets });
    this.byName = Object.fromEntries(fields.map((field) => [field.name, field]));
    [this.#element, this.#signal] = [element, signal];
    this.preflight = new Preflight(() => this.wish.values, signal);
    this.#curve = new Chart(this.chart, {
      label: "Learning rate", series: [{ name: "Learning rate", brief: "Rate", colour: "curve-4" }],
      x: { label: "iteration", format: count, bare: true }, y: { format: rate, zero: true }, height: 128, last: "in the end, ",
    }, signal);
  }

  get plan() {
    return this.preflight.value.answer;
  }

  /** Fill in what the address names, else what was filled in before. */
  async begin(query) {
    const given = Object.fromEntries(GIVEN.filter((name) => query.get(name)).map((name) => [name, query.get(name)]));
    const before = remembered();
    this.wish.all = before.all ?? false;
    if (Object.keys(given).length) await this.#take(given);
    else Object.assign(this.wish, { values: before.values ?? this.#first(), preset: before.preset ?? "" });
    this.preflight.subscribe(({ answer }) => this.#showRate(answer), this.#signal);
    this.#draw = watch([this.preflight, library, runs], () => render(page(this), this.#element), this.#signal);
    active.subscribe(() => this.#ifOthersTrain(), this.#signal);
    this.preflight.ask({ at: 0 });
    this.#offer();
  }

  async #take({ from, without: left, preset, ...values }) {
    if (from) await this.#takeRun(from);
    if (left) this.wish.values = without(this.wish.values, [left]);
    const { model_name, start_from, ...others } = values;
    const adapter = library.value.models.find(({ name }) => name === start_from?.split("@")[0])?.adapter;
    if (adapter?.training_type) this.wish.values.training_type = adapter.training_type;
    if (others.data_mixture_ratio) others.data_mixture_ratio = Number(others.data_mixture_ratio);
    this.wish.values = { ...this.#first(), ...this.wish.values, ...others };
    if (model_name || start_from) this.wish.values = withModel(this.wish.values, { model_name, start_from });
    if (preset) this.usePreset(preset);
  }

  async #takeRun(id) {
    try {
      const { spec } = await get(path`/api/runs/${id}`, { signal: this.#signal });
      this.wish.values = { training_type: "cpt", ...chosenOf(spec, this.fields) };
    } catch (error) {
      toastError(error, "The settings of that run were not read");
    }
  }

  /** Where there is only one model or dataset, that is what it is about. */
  #first() {
    const models = (library.value?.models ?? []).filter(({ problem, adapter }) => !problem && !adapter);
    return {
      training_type: "cpt",
      ...(models.length === 1 ? { model_name: models[0].name } : {}),
      ...(this.datasets.length === 1 ? { dataset: this.datasets[0].name } : {}),
    };
  }

  #offer() {
    const signal = this.#signal;
    const start = () => this.#element.querySelector("#train-start:not(:disabled)")?.click();
    bind("mod+enter", { title: "Start the run", run: start }, signal);
    addCommand({ title: "Show all settings", icon: "settings", group: "This page", when: () => !this.wish.all, run: () => this.showAll(true) }, signal);
    addCommand({ title: "Settings as YAML", icon: "file", group: "This page", run: () => this.yaml() }, signal);
    addCommand({ title: "Keep these settings as a preset", icon: "star", group: "This page", run: () => this.keep() }, signal);
  }

  /** Whether it would have to wait is asked anew where that may have changed. */
  #others = null;
  #ifOthersTrain() {
    const now = `${active.value?.id} ${active.value?.state}`;
    if (now !== this.#others) this.preflight.ask();
    this.#others = now;
  }

  #showRate(answer) {
    const points = answer?.learning_rate;
    if (points) this.#curve.show({ x: points.map((p) => p.iteration), columns: [points.map((p) => p.learning_rate)] });
  }

  #set(values) {
    this.wish.values = values;
    const { preset, all } = this.wish;
    remember({ values, preset, all });
    setQuery(Object.fromEntries(GIVEN.map((name) => [name, null])));
    this.preflight.ask();
    this.#draw();
  }

  change = (field, value) => this.#set(field.name === "training_type"
    ? { ...this.wish.values, training_type: value } : withValue(this.wish.values, field, value));

  /** Settings that the server proposes. */
  use = (changes) => this.#set(Object.entries(changes).reduce((values, [name, value]) => withValue(values, this.byName[name], value), this.wish.values));

  back = (field) => {
    const { [field.name]: _, ...others } = this.wish.values;
    this.wish.shown.add(field.name);
    delete this.wish.typed[field.name];
    this.#set(others);
    this.#focus(field.name);
  };

  pick = (model) => this.#set(withModel(this.wish.values, model));

  showAll = (all) => {
    this.wish.all = all;
    this.#set(this.wish.values);
  };

  anew = () => {
    const { values, preset } = this.wish;
    toast("All fields are as at first", { action: { label: "Undo", run: () => {
      this.wish.preset = preset;
      this.#set(values);
    } } });
    Object.assign(this.wish, { preset: "", typed: {}, shown: new Set() });
    this.#set(this.#first());
  };

  /** Bring a field into view and put the cursor there. */
  jump = (name) => {
    this.wish.shown.add(name);
    if (name === "start_from" || !this.byName[name]) this.wish.all = true;
    this.#draw();
    this.#focus(name);
  };

  #focus(name) {
    requestAnimationFrame(() => requestAnimationFrame(() => {
      const place = this.#element.querySelector(`[data-field="${CSS.escape(name)}"]`);
      place?.scrollIntoView({ block: "center", behavior: "smooth" });
      place?.querySelector("input, select, textarea, a")?.focus({ preventScroll: true });
    }));
  }

  usePreset = (name) => {
    const preset = this.presets.find((one) => one.name === name);
    if (preset?.training_type) this.wish.values.training_type = preset.training_type;
    Object.assign(this.wish, { preset: preset?.name ?? "", typed: {} });
    this.#set(withSettings(this.wish.values, preset?.values ?? {}));
  };

  /** Whether the settings are still those of a preset, or the defaults for null. */
  isAsPreset = (preset) => same(sorted(settingsOf(this.wish.values)), sorted(settingsOf(preset?.values ?? {})));

  keep = async () => {
    const own = this.presets.find(({ name, built_in: given }) => name === this.wish.preset && !given);
    const { values } = this.wish;
    const kept = await keepPreset(settingsOf(values), { type: values.training_type, presets: this.presets, name: own?.name });
    if (kept) await action(() => this.#readPresets(kept.name))();
  };

  forget = async () => {
    if (await deletePreset(this.wish.preset)) await this.#readPresets("");
  };

  async #readPresets(chosen) {
    this.presets = (await get("/api/presets", { signal: this.#signal })).presets;
    this.wish.preset = chosen;
    this.#set(this.wish.values);
  }

  yaml = () => openYaml(this.plan?.yaml ?? "", (values) => {
    Object.assign(this.wish, { preset: "", typed: {} });
    this.#set({ training_type: "cpt", ...chosenOf(values, this.fields.filter(({ name }) => name in values)) });
  });

  start = async () => {
    const queue = this.plan.findings.some(({ code }) => code === "QUEUED");
    const { values } = this.wish;
    const { training_id: id } = await post("/api/training/start", { ...values, queue }).catch((error) => this.#orQueued(error, values));
    if (!id) return;
    remember({ all: this.wish.all });
    runs.refresh();
    go(`/runs/${encodeURIComponent(id)}`);
  };

  /** Another run has begun meanwhile: this one may wait for it. */
  async #orQueued(error, values) {
    if (error.code !== "RUN_CONFLICT") throw error;
    const yes = await confirm({ title: "Queue this run?", text: `${statement(error.message)} This one starts by itself when that one has ended.`, yes: "Queue it" });
    return yes ? post("/api/training/start", { ...values, queue: true }) : {};
  }
}

const sorted = (values) => Object.entries(values).sort(([a], [b]) => (a < b ? -1 : 1));

function page(setup) {
  const { wish, presets } = setup;
  const own = presets.some(({ name, built_in: given }) => name === wish.preset && !given);
  return html`
    ${pageHead({
      title: "Train",
      lead: "Choose a model and what it learns from. What the run will be is worked out while you choose.",
      actions: html`<button class="button" @click=${setup.anew}>${icon("refresh")}Start over</button>
        <button class="button" @click=${setup.yaml}>${icon("file")}YAML</button>`,
    })}
    <div class="train-page">
      <div class="train-form">
        <section class="card train-presets" aria-label="Preset">
          ${presetPicker(setup)}
          <div class="actions">
            <button class="button small" @click=${setup.keep}>${icon("star")}Keep as preset</button>
            ${own ? html`<button class="icon-button" aria-label="Delete the preset ${wish.preset}" title="Delete the preset"
              @click=${action(setup.forget, { failed: "The preset was not deleted" })}>${icon("trash")}</button>` : nothing}
            <label class="train-all"><input type="checkbox" role="switch" class="switch" .checked=${wish.all}
              @change=${(event) => setup.showAll(event.target.checked)}>All settings</label>
          </div>
        </section>
        ${formCards(setup)}
      </div>
      ${planCard({ ...setup, begin: setup.start })}
    </div>`;
}
