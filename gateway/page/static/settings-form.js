/**
 * The sheet of settings: shows them, keeps every change at once, and hands out what is chosen.
 */

import { languages } from "./languages.js";
import { DEFAULTS } from "./settings.js";
import { loadKey, loadSettings, saveKey, saveSettings } from "./storage.js";

export class SettingsForm {
  #dialog;
  #form;
  #key;

  /** What is chosen now; see `settings.js`. */
  settings = loadSettings();

  constructor(dialog) {
    this.#dialog = dialog;
    this.#form = dialog.querySelector("form");
    this.#key = dialog.querySelector("#key");
    this.#form.elements.language.append(...languages().map(([code, name]) => new Option(name, code)));
    this.#form.addEventListener("input", (event) => this.#changed(event.target));
    dialog.querySelector("#defaults").addEventListener("click", () => this.#reset());
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    this.#show();
  }

  get key() {
    return loadKey();
  }

  open() {
    this.#show();
    this.#dialog.showModal();
  }

  #changed(field) {
    if (field === this.#key) saveKey(field.value);
    else if (field.name in DEFAULTS) this.settings = { ...this.settings, [field.name]: valueOf(field) };
    saveSettings(this.settings);
    this.#showValues();
  }

  #reset() {
    this.settings = { ...DEFAULTS };
    saveSettings(this.settings);
    this.#show();
  }

  #show() {
    for (const [name, value] of Object.entries(this.settings)) {
      const field = this.#form.elements[name];
      if (field.type === "checkbox") field.checked = value;
      else field.value = value;
    }
    this.#key.value = loadKey();
    this.#showValues();
  }

  #showValues() {
    for (const output of this.#form.querySelectorAll("output")) {
      const field = this.#form.elements[output.htmlFor.value];
      output.value = `${field.value} ${field.dataset.unit}`.trim();
      field.ariaValueText = output.value;
    }
    this.#form.elements.cadence.disabled = !this.settings.partials;
  }
}

function valueOf(field) {
  if (field.type === "checkbox") return field.checked;
  return field.type === "range" ? field.valueAsNumber : field.value;
}
