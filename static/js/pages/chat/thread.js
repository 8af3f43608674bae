// The turns of the branch that is shown. Long chats are drawn from their end; earlier turns follow when one scrolls up
// to them. Whoever reads at the end stays there while an answer grows.

import { html, nothing, render } from "lit-html";
import { repeat } from "lit-html/directives/repeat.js";
import { icon } from "../../parts/icons.js";
import { welcome } from "./state.js";
import { turn } from "./message.js";

const PORTION = 30;
const NEAR = 60;

export class Thread {
  #desk;
  #shown = PORTION;
  #follows = true;
  #leaf = null;
  #earlier;

  constructor(desk, signal) {
    this.#desk = desk;
    this.element = document.createElement("div");
    this.element.className = "chat-scroll";
    this.element.tabIndex = 0;
    this.element.setAttribute("role", "log");
    this.element.setAttribute("aria-label", "Messages");
    this.element.addEventListener("scroll", () => this.#scrolled(), { signal, passive: true });
    this.#earlier = new IntersectionObserver(([{ isIntersecting }]) => isIntersecting && this.#more(), { root: this.element, rootMargin: "800px 0px 0px" });
    signal.addEventListener("abort", () => this.#earlier.disconnect(), { once: true });
  }

  draw() {
    const { conversation } = this.#desk;
    const path = conversation.path;
    if (conversation.leaf !== this.#leaf && conversation.answering) this.#begin();
    this.#leaf = conversation.leaf;
    const from = Math.max(0, path.length - this.#shown);
    render(path.length ? this.#turns(path, from) : welcome(this.#desk), this.element);
    const top = this.element.querySelector(".chat-earlier");
    this.#earlier.disconnect();
    if (top) this.#earlier.observe(top);
    if (this.#follows) this.#toEnd();
  }

  /** The way down for those who read further up. */
  jump() {
    return this.#follows ? nothing : html`
      <button class="button small chat-jump" @click=${() => this.#jump()}>${icon("down")}To the end</button>`;
  }

  #turns(path, from) {
    return html`
      <div class="thread ${path.some((message) => this.#desk.conversation.beside(message)) ? "wide-thread" : ""}">
        ${from ? html`<p class="chat-earlier quiet">Earlier messages</p>` : nothing}
        ${repeat(path.slice(from), ({ id }) => id, (message) => turn(message, this.#desk, message === path.at(-1)))}
      </div>`;
  }

  #more() {
    const { scrollHeight, scrollTop } = this.element;
    this.#shown += PORTION;
    this.draw();
    // What is read stays where it is.
    this.element.scrollTop = scrollTop + this.element.scrollHeight - scrollHeight;
  }

  #scrolled() {
    const { scrollHeight, scrollTop, clientHeight } = this.element;
    const follows = scrollHeight - scrollTop - clientHeight < NEAR;
    if (follows === this.#follows) return;
    this.#follows = follows;
    this.#desk.draw();
  }

  #jump() {
    this.#begin();
    this.#desk.draw();
  }

  /** Back at the end, what is far above is needed no longer. */
  #begin() {
    [this.#follows, this.#shown] = [true, PORTION];
  }

  #toEnd() {
    this.element.scrollTop = this.element.scrollHeight;
  }
}
