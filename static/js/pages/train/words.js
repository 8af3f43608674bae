// How fields, their values and what they may be are called.

import { count, model as lastPart, sentence, statement, tick } from "../../parts/format.js";
import { runs } from "../../state/runs.js";

const LABELS = {
  objective: "What is learned", dpo_beta: "Hold to the base", model_name: "Model", start_from: "Adapter to go on with", general_dataset: "General data", data_mixture_ratio: "Share of the dataset",
  max_iterations: "Iterations", epochs: "Epochs", packing: "Shared rows", grad_accumulation_steps: "Gradient accumulation", max_seq_length: "Sequence length",
  lr_schedule: "Shape", warmup_steps: "Warm-up", lr_final_factor: "Last rate", fine_tune_type: "Method", num_layers: "Blocks that learn",
  lora_rank: "Rank", lora_scale: "Scale", lora_init: "Beginning of the factors", lora_dropout: "Dropout", lora_keys: "Modules with factors", train_also: "Train also",
  optimizer: "Optimiser", max_grad_norm: "Gradient clipping", grad_checkpoint: "Compute activations twice", eval_every: "Validate every",
  save_every: "Save every", validation_fraction: "Held out", validation_tokens: "Validation tokens", keep_checkpoints: "Checkpoints to keep",
  hosts: "Machines", early_stopping_patience: "Patience", early_stopping_min_delta: "Smallest improvement", overfitting_threshold: "Rise that ends it",
};
const KNOWN = new Set(["training_type", "batch_size", "learning_rate", "weight_decay", "sample_prompts"]);
const CHOICES = {
  cpt: "Documents", ift: "Questions and answers", likelihood: "Answers", dpo: "Preferences (DPO)", lora: "LoRA", dora: "DoRA", full: "All weights", default: "No change", pissa: "PiSSA", adamw: "AdamW", adam: "Adam", sgd: "SGD",
};

export const KINDS = {
  cpt: "Continued pre-training (CPT): it reads documents as they are, and learns to write and to know like them.",
  ift: "Instruction fine-tuning (IFT): it learns to answer, from questions with their answers or from conversations.",
};

const PROMPTS = { cpt: "beginnings of a text that every checkpoint goes on with", ift: "questions that every checkpoint answers" };

const MACHINES = "The others need the same ForgeLLM at the same path, the same base model, and to let this machine in by ssh without a password.";

/** What a person still has to choose before anything can be said. */
export const TO_CHOOSE = { model_name: "Choose a model", dataset: "Choose a dataset" };

export const labelOf = (name) => LABELS[name] ?? sentence(name.replaceAll("_", " "));

export const choiceOf = (value) => CHOICES[value] ?? sentence(value);

/** A message of the server, with the fields as they are called here. */
export const said = (text) => text.replace(/\b[a-z]+(?:_[a-z]+)+\b/g, (name) => (name in LABELS || KNOWN.has(name) ? labelOf(name).toLowerCase() : name));

/** The explanation of a field, what is usual, and what is allowed. `type` is that of the training. */
export function hintOf(field, type) {
  const usual = field.typical && !["text", "list"].includes(field.type) ? `Typically ${field.typical}` : "";
  const allowed = allowedIn(field);
  const lines = field.type === "list" && !field.choices.length ? ` One per line.${field.name === "hosts" ? ` ${MACHINES}` : ""}` : "";
  const help = field.name === "sample_prompts" ? PROMPTS[type] ?? field.help : field.help;
  return [statement(said(help)) + lines, statement([usual, allowed].filter(Boolean).join("; "))].filter((text) => text !== ".").join(" ");
}

function allowedIn({ minimum, maximum, above, most, longest }) {
  const from = above !== null ? `above ${tick(above)}` : minimum !== null ? `at least ${tick(minimum)}` : "";
  const many = most !== null ? `up to ${most}${longest === null ? "" : ` of ${count(longest)} characters`}` : "";
  if (maximum === null) return from || many;
  if (maximum >= 1e9) return from;
  return above !== null ? `${from}, at most ${tick(maximum)}` : `${tick(minimum)} to ${tick(maximum)}`;
}

/** `Qwen3-4B-bf16`; for an adapter what its run is called, else what it was trained from and on. */
export function modelName({ name, adapter }) {
  if (!adapter) return lastPart({ model_name: name });
  const given = runs.value?.runs.find(({ id }) => id === name)?.name;
  if (given) return given;
  return [lastPart({ model_name: adapter.base_model ?? name }), adapter.dataset].filter(Boolean).join(" on ");
}
