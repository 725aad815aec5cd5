/**
 * Asks for the API key when the server wants one. It is kept until the tab is closed.
 */

import { saveKey } from "./storage.js";

export class KeyDialog {
  #dialog;
  #field;
  #onKey = null;

  constructor(dialog) {
    this.#dialog = dialog;
    this.#field = dialog.querySelector("input");
    dialog.querySelector("#no-key").addEventListener("click", () => dialog.close());
    dialog.querySelector("form").addEventListener("submit", () => {
      saveKey(this.#field.value);
      this.#onKey();
    });
  }

  /** Ask, saying why; `onKey` is called when there is one to try. */
  ask({ title, detail }, onKey) {
    this.#onKey = onKey;
    this.#dialog.querySelector("h2").textContent = title;
    this.#dialog.querySelector("p").textContent = detail;
    this.#field.value = "";
    this.#dialog.showModal();
  }
}
