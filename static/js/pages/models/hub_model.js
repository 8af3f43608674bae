// One model on the Hub: its card, and getting it.

import { html, render } from "lit-html";
import { icon } from "../../parts/icons.js";
import { card, pageHead } from "../../parts/page.js";
import { query as withQuery } from "../../state/api.js";
import { library, pulls, refreshLibrary, refreshPulls } from "../../state/models.js";
import { Store, watch } from "../../state/store.js";
import { cardOf, shownCard } from "./card.js";
import { todo } from "./hub.js";
import { pullsCard } from "./pulls.js";

export async function openHubModel({ element, signal, title }, name) {
  const text = new Store(undefined);
  title(name);
  watch([text, library, pulls], () => render(page(name, text.value), element), signal);
  const known = [refreshLibrary({ signal }), refreshPulls()];
  text.set(await cardOf(withQuery("/api/hub/card", { name }), signal));
  await Promise.all(known);
}

const page = (name, text) => html`
  ${pageHead({
    above: html`<a href="/models">Models</a> / <a href="/models?view=hub">Get a model</a>`,
    title: name,
    lead: "On the Hugging Face Hub",
    actions: html`${todo({ name })}<a class="button small" href=${`https://huggingface.co/${name}`} target="_blank" rel="noopener noreferrer">${icon("external")}Its page</a>`,
  })}
  ${pullsCard(pulls.value?.filter((pull) => pull.name === name))}
  ${card({ title: "Card", body: shownCard(text, "This model has no card, or the Hub has no such model.") })}`;
