/**
 * Says what went wrong and offers the way on. Where the server asks to wait, the button counts down.
 */

const TICK_MS = 250;

export class ProblemBanner {
  #element;
  #home;
  #timer = 0;

  /** `home` gets the focus when a button that had it goes away. */
  constructor(element, home) {
    this.#element = element;
    this.#home = home;
  }

  /** Show a problem of `problems.js`; `onRemedy` is called once when the reader takes the offer. */
  show({ title, detail, remedy, waitS }, onRemedy) {
    this.hide();
    const text = document.createElement("p");
    const heading = document.createElement("strong");
    heading.textContent = title;
    text.append(heading, detail);
    this.#element.append(text);
    if (remedy) this.#element.append(this.#remedyButton(remedy, waitS, onRemedy));
    this.#element.append(button("Dismiss", "", () => this.hide()));
    this.#element.hidden = false;
  }

  hide() {
    clearInterval(this.#timer);
    const hadFocus = this.#element.contains(document.activeElement);
    this.#element.replaceChildren();
    this.#element.hidden = true;
    if (hadFocus) this.#home.focus();
  }

  #remedyButton(remedy, waitS, onRemedy) {
    const name = remedy === "key" ? "Enter a key" : "Try again";
    const offer = button(name, "primary", () => {
      this.hide();
      onRemedy();
    });
    const readyAt = performance.now() + waitS * 1000;
    const tick = () => {
      const leftS = Math.ceil((readyAt - performance.now()) / 1000);
      offer.disabled = leftS > 0;
      offer.textContent = leftS > 0 ? `${name} in ${leftS} s` : name;
      if (leftS <= 0) clearInterval(this.#timer);
    };
    if (waitS) this.#timer = setInterval(tick, TICK_MS);
    tick();
    return offer;
  }
}

function button(name, className, onClick) {
  const element = document.createElement("button");
  element.type = "button";
  element.className = className;
  element.textContent = name;
  element.addEventListener("click", onClick);
  return element;
}
