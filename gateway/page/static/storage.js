/**
 * What the browser keeps: settings from visit to visit, the key until the tab is closed. Where it
 * may keep nothing, both last as long as the page.
 */

import { complete } from "./settings.js";

const SETTINGS = "settings";
const KEY = "api-key";
let key = "";

export function loadSettings() {
  try {
    return complete(JSON.parse(localStorage.getItem(SETTINGS)));
  } catch {
    return complete(null);
  }
}

export function saveSettings(settings) {
  attempt(() => localStorage.setItem(SETTINGS, JSON.stringify(settings)));
}

export function loadKey() {
  attempt(() => (key = sessionStorage.getItem(KEY) ?? key));
  return key;
}

export function saveKey(value) {
  key = value.trim();
  attempt(() => (key ? sessionStorage.setItem(KEY, key) : sessionStorage.removeItem(KEY)));
}

function attempt(access) {
  try {
    access();
  } catch {
    // storage is off or full
  }
}
