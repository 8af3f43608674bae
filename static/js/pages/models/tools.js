// Making another form of a model: fewer bits, or files for other programs. The run's page shows how far it is.

import { html } from "lit-html";
import { go } from "../../frame/router.js";
import { action } from "../../parts/action.js";
import { openDialog } from "../../parts/dialog.js";
import { selectField, textField } from "../../parts/fields.js";
import { get, post } from "../../state/api.js";
import { runs } from "../../state/runs.js";
import { openPush } from "./push.js";
import { called } from "./words.js";

const BITS = [
  { value: "8", label: "8 bits: hardly worse, half of 16" },
  { value: "6", label: "6 bits" },
  { value: "4", label: "4 bits: usual for chatting" },
  { value: "mixed_4_6", label: "4 and 6 bits, by layer" },
  { value: "mixed_3_6", label: "3 and 6 bits, by layer" },
  { value: "3", label: "3 bits" },
  { value: "mixed_2_6", label: "2 and 6 bits, by layer" },
  { value: "2", label: "2 bits: often too few" },
];
const GROUPS = [32, 64, 128];
const USUAL_GROUP = 64;
const FORMATS = [
  { value: "gguf", label: "GGUF, for llama.cpp and LM Studio" },
  { value: "ollama", label: "Ollama: GGUF with a Modelfile" },
  { value: "safetensors", label: "A folder of safetensors, for MLX and Transformers" },
  { value: "zip", label: "That folder as a ZIP file" },
];
const TYPES = [
  { value: "f16", label: "f16" }, { value: "bf16", label: "bf16" }, { value: "q8_0", label: "q8_0: 8 bits" },
  { value: "q5_1", label: "q5_1: 5 bits" }, { value: "q5_0", label: "q5_0: 5 bits" },
  { value: "q4_1", label: "q4_1: 4 bits" }, { value: "q4_0", label: "q4_0: 4 bits" },
];

const itemsOf = new WeakMap();

/** What a model's menu offers; the same array for the same model. */
export function otherForms(model) {
  if (!itemsOf.has(model)) {
    itemsOf.set(model, model.adapter
      ? [
        { label: "Evaluate", icon: "check", run: action(() => openEvaluate(model), { failed: "Nothing is evaluated" }) },
        { label: "Export for PEFT", icon: "download", run: action(() => exportAdapter(model), { failed: "Nothing was exported" }) },
      ]
      : [
        { label: "Evaluate", icon: "check", run: action(() => openEvaluate(model), { failed: "Nothing is evaluated" }) },
        { label: "Quantize", icon: "memory", disabled: model.quantized, run: () => openQuantize(model) },
        { label: "Export", icon: "download", run: () => openExport(model) },
        { label: "Push to the Hub", icon: "upload", run: () => openPush(model) },
      ]);
  }
  return itemsOf.get(model);
}

function openQuantize(model) {
  const sizes = model.group_sizes;
  const wish = { bits: "4", group: String(sizes.includes(USUAL_GROUP) ? USUAL_GROUP : sizes[0] ?? ""), name: "" };
  const begin = () => {
    const how = wish.bits.startsWith("mixed") ? { recipe: wish.bits } : { bits: Number(wish.bits) };
    const body = { model_name: model.name, ...how, group_size: Number(wish.group), name: wish.name.trim() || null };
    return follow(dialog, post("/api/quantize", body));
  };
  const dialog = ask({ title: `Quantize ${called(model)}`, yes: "Quantize", failed: "Nothing was quantized", begin, possible: sizes.length > 0, body: () => html`
    <p class="quiet">A copy in fewer bits takes less memory and answers faster, and knows a little less. What it loses is
      measured on the data that its run held out.</p>
    <div class="publish-form">
      ${selectField({ name: "quantize-bits", label: "Bits a weight", value: wish.bits, choices: BITS, change: (bits) => (wish.bits = bits) })}
      ${selectField({ name: "quantize-group", label: "Weights that share a scale", value: wish.group, choices: groupsOf(sizes),
        hint: "Fewer are more exact and take more room", change: (group) => (wish.group = group) })}
      ${nameField(wish)}
    </div>` });
}

const groupsOf = (sizes) => GROUPS.map((size) => (sizes.includes(size)
  ? { value: String(size), label: String(size) }
  : { value: String(size), label: `${size}: divides the width of no layer`, disabled: true }));

function openExport(model) {
  const wish = { format: "gguf", type: "f16", name: "" };
  const holdsGguf = () => ["gguf", "ollama"].includes(wish.format);
  const begin = () => {
    const body = { model_name: model.name, format: wish.format, gguf_type: holdsGguf() ? wish.type : null, name: wish.name.trim() || null };
    return follow(dialog, post("/api/export", body));
  };
  const dialog = ask({ title: `Export ${called(model)}`, yes: "Export", failed: "Nothing was exported", begin, body: () => html`
    <p class="quiet">The files go to a folder below models/exports; the model stays as it is.</p>
    <div class="publish-form">
      ${selectField({ name: "export-format", label: "Format", value: wish.format, choices: FORMATS, change: (format) => {
        wish.format = format;
        dialog.draw();
      } })}
      ${holdsGguf() ? selectField({ name: "export-type", label: "Numbers", value: wish.type, choices: TYPES, change: (type) => (wish.type = type) }) : ""}
      ${nameField(wish)}
    </div>` });
}

async function openEvaluate(model) {
  const { datasets } = await get("/api/dataset/info");
  if (!datasets.length) throw Object.assign(new Error("There is no dataset to ask questions of"), { expected: true, suggestion: "Add one on the Data page." });
  const wish = { dataset: datasets.find(({ name }) => name === model.adapter?.dataset)?.name ?? datasets[0].name };
  const begin = () => follow(dialog, post("/api/evaluate", { [model.adapter ? "run" : "model_name"]: model.name, dataset: wish.dataset }));
  const dialog = ask({ title: `Evaluate ${called(model)}`, yes: "Evaluate", failed: "Nothing is evaluated", begin, body: () => html`
    <p class="quiet">It answers the questions that the dataset holds out, and is measured on its text${model.adapter ? ", beside its base model" : ""}.
      Every answer is kept for reading.</p>
    <div class="publish-form">
      ${selectField({ name: "evaluate-dataset", label: "Dataset", value: wish.dataset, choices: datasets.map(({ name }) => name), change: (dataset) => (wish.dataset = dataset) })}
    </div>` });
}

const exportAdapter = (model) => follow(null, post("/api/export", { run: model.name, format: "peft" }));

const nameField = (wish) => textField({ name: "made-name", label: "Name", value: wish.name, placeholder: "From the model",
  hint: "Letters, digits, dots, hyphens and underscores", change: (name) => (wish.name = name) });

const ask = ({ title, yes, failed, begin, body, possible = true }) => openDialog({
  title,
  body,
  actions: ({ close }) => html`<button class="button" @click=${() => close()}>Cancel</button>
    <button class="button primary" ?disabled=${!possible} @click=${action(begin, { failed })}>${yes}</button>`,
});

/** Go to the page of the run that has begun. */
async function follow(dialog, begun) {
  const { run_id: run } = await begun;
  runs.refresh();
  dialog?.close();
  go(`/runs/${encodeURIComponent(run)}`);
}
