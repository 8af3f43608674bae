// What was chosen for a run: only the fields that differ from their defaults are written down. Nothing is drawn here.

const KEY = "forgellm.train";
const WHAT = ["training_type", "model_name", "start_from", "dataset"];
// What an adapter has already: it goes on learning in its own form.
const FORM = ["fine_tune_type", "num_layers", "lora_rank", "lora_scale", "lora_init", "lora_dropout", "lora_keys", "train_also"];
const INSTEAD = { epochs: "max_iterations", max_iterations: "epochs" };

export const same = (a, b) => JSON.stringify(a ?? null) === JSON.stringify(b ?? null);

const isNothing = (value) => value === null || value === "" || (Array.isArray(value) && !value.length);

/** The fields of `spec` that somebody has to choose or that are not at their defaults. */
export const chosenOf = (spec, fields) => Object.fromEntries(fields
  .filter(({ name, required, default: usual }) => !isNothing(spec[name] ?? null) && (required || !same(spec[name], usual)) || (usual && spec[name] === null))
  .map(({ name }) => [name, spec[name]]));

/** `values` with `field` at `value`; what excludes it goes, and so does what is the default anyhow. */
export function withValue(values, field, value) {
  const { [field.name]: before, ...others } = values;
  if (isNothing(value)) return field.nullable && !isNothing(field.default) ? { ...others, [field.name]: null } : others;
  const { [INSTEAD[field.name]]: instead, ...rest } = others;
  return same(value, field.default) && !values.start_from ? rest : { ...rest, [field.name]: value };
}

/** Another model, or another adapter to go on with. */
export function withModel(values, { model_name: model, start_from: adapter }) {
  const rest = without(values, ["model_name", "start_from", ...(adapter ? FORM : [])]);
  return { ...rest, ...(adapter ? { start_from: adapter } : model ? { model_name: model } : {}) };
}

/** The settings alone, as a preset keeps them: for which kind of training, not of which model on what. */
export const settingsOf = (values) => without(values, WHAT);

/** The settings of a preset, for the model and the dataset that are chosen. */
export const withSettings = (values, settings) => ({ ...without(settings, WHAT), ...Object.fromEntries(WHAT.filter((n) => n in values).map((n) => [n, values[n]])) });

export const without = (values, names) => Object.fromEntries(Object.entries(values).filter(([name]) => !names.includes(name)));

/** What was filled in before somebody looked at another page. */
export function remembered() {
  try {
    return JSON.parse(sessionStorage.getItem(KEY)) ?? {};
  } catch {
    return {};
  }
}

export const remember = (kept) => sessionStorage.setItem(KEY, JSON.stringify(kept));
