/**
 * The transcript on the page: what is being said, word by word, and the finals above it. Knows how a
 * `Transcript` is made up, not where it comes from.
 */

import { clock } from "./times.js";
import { pieces, tokens } from "./transcript.js";

const WEAK = 0.5; // a word that is less probable than this is marked
const WORD_MS = 45; // between words that come together
const AT_END_PX = 40;

export class Captions {
  #scroller;
  #settled;
  #live;
  #newest;
  #follows = true;
  #shown = new Map(); // utterances by their items

  constructor({ scroller, settled, live, newest }) {
    this.#scroller = scroller;
    this.#settled = settled;
    this.#live = live;
    this.#newest = newest;
    scroller.addEventListener("scroll", () => this.#look(), { passive: true });
    newest.addEventListener("click", () => this.follow());
    new ResizeObserver(() => this.#keepUp()).observe(scroller.firstElementChild);
    new ResizeObserver(() => this.#keepUp()).observe(scroller);
  }

  /** Show a transcript as it is now. Finals do not change, so only new ones are drawn. */
  show(transcript) {
    const { settled, open } = transcript;
    if (!settled.length) this.#clear();
    const fresh = settled.slice(this.#shown.size);
    for (const utterance of fresh) this.#append(utterance);
    if (fresh.length) this.#live.replaceChildren(); // what follows appears anew
    this.#showOpen(open);
    this.#keepUp();
  }

  /** The utterance that an item shows, and the word where it is in one. */
  at(element) {
    const item = element.closest?.(".utterance");
    const shown = this.#shown.get(item);
    return shown ? { item, utterance: shown.utterance, word: shown.words.get(element) ?? null } : null;
  }

  /** Scroll to the newest words and stay with them. */
  follow() {
    this.#follows = true;
    this.#keepUp();
  }

  #append(utterance) {
    const item = document.createElement("li");
    item.className = "utterance";
    item.classList.toggle("doubtful", utterance.isDoubtful);
    item.classList.toggle("cut-off", utterance.isCutOff);
    const time = document.createElement("time");
    time.textContent = clock(utterance.start);
    time.ariaHidden = "true";
    const text = document.createElement("p");
    text.lang = utterance.language ?? "";
    text.dir = "auto";
    const words = new Map();
    text.append(...nodes(utterance, words));
    item.append(time, text);
    this.#shown.set(item, { utterance, words });
    for (const other of this.#settled.children) other.tabIndex = -1;
    item.tabIndex = 0;
    this.#settled.append(item);
  }

  #showOpen(open) {
    const wanted = open ? tokens(open.text, open.committed) : [];
    const spans = this.#live.children;
    while (spans.length > wanted.length) spans[spans.length - 1].remove();
    let fresh = 0;
    wanted.forEach(({ text, isCommitted }, index) => {
      const span = spans[index] ?? this.#live.appendChild(document.createElement("span"));
      if (span.textContent !== text) {
        span.textContent = text;
        span.className = "new";
        span.style.animationDelay = `${WORD_MS * fresh++}ms`;
      }
      span.classList.toggle("unsure", !isCommitted);
    });
    this.#live.lang = open?.language ?? "";
  }

  #clear() {
    this.#settled.replaceChildren();
    this.#shown.clear();
  }

  #look() {
    const { scrollTop, clientHeight, scrollHeight } = this.#scroller;
    this.#follows = scrollTop + clientHeight > scrollHeight - AT_END_PX;
    this.#newest.hidden = this.#follows;
  }

  #keepUp() {
    if (this.#follows) this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.#newest.hidden = this.#follows;
  }
}

/** What stands in an utterance's paragraph; its words are noted in `noted`, by their elements. */
function nodes({ segments, text }, noted) {
  const words = segments.flatMap((segment) => segment.words);
  return pieces({ text, words }).map((piece) => (piece.word ? wordElement(piece.word, noted) : piece.text));
}

function wordElement(word, noted) {
  const element = document.createElement("span");
  element.className = word.probability < WEAK ? "word weak" : "word";
  element.tabIndex = -1;
  element.textContent = word.text;
  noted.set(element, word);
  return element;
}
