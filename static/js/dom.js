// Making and changing elements. Text goes in as text only: nothing that comes from data becomes markup.

export const byId = (id) => document.getElementById(id);

/** An element with these attributes (null leaves one out) and children (elements or texts). */
export function make(tag, attributes = {}, ...children) {
  return furnish(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function draw(tag, attributes = {}, ...children) {
  return furnish(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

/** Change the text only where it differs: screen readers and selections stay undisturbed. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** The same for words of which those in `backticks` are to be typed somewhere. */
export function setProse(element, text) {
  if (element.textContent === text.replaceAll("`", "")) return;
  const parts = text.split("`").map((part, place) => (place % 2 ? make("code", {}, part) : part));
  element.replaceChildren(...parts);
}

/** A state or a server's condition: its word, and the tone that colours the dot before it. */
export function setState(element, word, tone) {
  setText(element, word);
  element.dataset.tone = tone;
}

function furnish(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}
