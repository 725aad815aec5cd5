/**
 * When a word or a sentence was said and how sure the engine is: on hover, touch and focus, and by
 * the arrow keys. The keys move the focus: up and down through the sentences, left and right through
 * a sentence's words. Escape takes the hint away.
 */

import { languageName } from "./languages.js";
import { exactClock } from "./times.js";

const MARGIN_PX = 6; // to the window's edges

export class Hints {
  #list;
  #hint;
  #captions;
  #target = null;

  constructor(list, hint, captions) {
    this.#list = list;
    this.#hint = hint;
    this.#captions = captions;
    list.addEventListener("pointerover", ({ target }) => this.#show(target));
    list.addEventListener("pointerleave", ({ relatedTarget }) => relatedTarget !== hint && this.#rest());
    hint.addEventListener("pointerleave", () => this.#rest()); // it may be pointed at, to be read
    list.addEventListener("focusin", ({ target }) => this.#show(target));
    list.addEventListener("focusout", () => this.#hide());
    list.addEventListener("keydown", (event) => this.#move(event));
    document.addEventListener("scroll", () => this.#hide(), { capture: true, passive: true });
    document.addEventListener("keydown", ({ key }) => key === "Escape" && this.#hide());
  }

  #rest() {
    this.#show(document.activeElement);
  }

  #show(target) {
    this.#hide();
    const found = this.#list.contains(target) ? this.#captions.at(target) : null;
    if (!found) return;
    const { item, utterance, word } = found;
    // The space between words would flicker if it showed the sentence's hint.
    const isWhole = target === document.activeElement || target.tagName === "TIME" || !item.querySelector(".word");
    if (!word && !isWhole) return;
    this.#target = word || target.tagName === "TIME" ? target : item;
    this.#hint.textContent = word ? ofWord(word) : ofUtterance(utterance);
    this.#hint.hidden = false;
    this.#target.setAttribute("aria-describedby", this.#hint.id);
    this.#place(this.#target === item ? item.lastElementChild : target);
  }

  #hide() {
    this.#target?.removeAttribute("aria-describedby");
    this.#target = null;
    this.#hint.hidden = true;
  }

  #place(anchor) {
    const [at, size] = [anchor.getBoundingClientRect(), this.#hint.getBoundingClientRect()];
    const left = Math.max(MARGIN_PX, Math.min(at.left, innerWidth - size.width - MARGIN_PX));
    const above = at.top - size.height;
    this.#hint.style.left = `${left}px`;
    this.#hint.style.top = `${above > MARGIN_PX ? above : at.bottom}px`;
  }

  #move(event) {
    const item = event.target.closest(".utterance");
    const words = [...item.querySelectorAll(".word")];
    const at = words.indexOf(event.target);
    const next = {
      ArrowUp: () => item.previousElementSibling,
      ArrowDown: () => item.nextElementSibling,
      Home: () => this.#list.firstElementChild,
      End: () => this.#list.lastElementChild,
      ArrowRight: () => words[at + 1],
      ArrowLeft: () => (at > 0 ? words[at - 1] : item),
    }[event.key]?.();
    if (!next) return;
    event.preventDefault();
    for (const other of this.#list.children) other.tabIndex = other === next.closest(".utterance") ? 0 : -1;
    next.focus();
  }
}

function ofWord({ start, end, probability }) {
  return `${exactClock(start)} – ${exactClock(end)} · ${percent(probability)} sure`;
}

function ofUtterance({ start, end, confidence, language, languageProbability, isDoubtful, isCutOff }) {
  const parts = [`${exactClock(start)} – ${exactClock(end)}`, `${percent(confidence)} sure`];
  if (language) parts.push(languageName(language) + (languageProbability === null ? "" : ` ${percent(languageProbability)}`));
  if (isDoubtful) parts.push("may not be what was said");
  if (isCutOff) parts.push("cut off");
  return parts.join(" · ");
}

function percent(share) {
  return `${Math.round(share * 100)} %`;
}
