/**
 * The controls: what is going on, how loud it is, how late the words come, and what can be done.
 */

import { languageName } from "./languages.js";
import { PHASES } from "./run.js";
import { clock } from "./times.js";
import { Waveform } from "./waveform.js";

const METER_MS = 500; // between what a screen reader could be told of the level
const BUSY = [PHASES.OPENING, PHASES.CONNECTING, PHASES.LIVE, PHASES.FINISHING];
const BUTTON = { [PHASES.OPENING]: "Cancel", [PHASES.CONNECTING]: "Cancel", [PHASES.LIVE]: "Stop", [PHASES.FINISHING]: "Stop at once" };

export class Dock {
  #element;
  #wave;
  #meteredAt = 0;

  constructor(element) {
    this.#element = element;
    this.#wave = new Waveform(this.#part("wave"));
  }

  /** A run of this source has come to a phase. */
  phase(phase, source) {
    const isBusy = BUSY.includes(phase);
    this.#element.classList.toggle("busy", isBusy);
    this.#part("start-name").textContent = BUTTON[phase] ?? "Start the microphone";
    this.#part("choose").disabled = isBusy;
    if (isBusy) this.#part("status").textContent = statusOf(phase, source);
    this.#part("progress").hidden = !isBusy || source.durationS === null || phase === PHASES.OPENING;
    if (phase === PHASES.OPENING) this.#start();
    if (phase === PHASES.FINISHING || !isBusy) this.#quiet();
    if (!isBusy) this.#wave.rest();
  }

  /** A run is over, as it should be or before its time. */
  over(isWhole) {
    this.#part("status").textContent = isWhole ? "Done" : "Stopped";
  }

  /** A packet, from 0 to 1 loud. */
  level(level) {
    this.#wave.push(level);
    this.#part("start").style.setProperty("--level", level.toFixed(3));
    if (performance.now() - this.#meteredAt < METER_MS) return;
    this.#meteredAt = performance.now();
    this.#part("level").ariaValueNow = Math.round(level * 100);
  }

  /** So many seconds have been sent; those up to `heardS` have been answered. */
  time(sentS, heardS, source) {
    const isFast = !source.isLive;
    const text = source.durationS ? `${clock(isFast ? heardS : sentS)} of ${clock(source.durationS)}` : clock(sentS);
    if (this.#part("clock").textContent !== text) this.#part("clock").textContent = text;
    if (source.durationS) this.#part("progress").value = Math.min(1, heardS / source.durationS);
  }

  /** Figures that are known anew: seconds, a factor, a language. */
  figures({ firstS, finalS, speed, language }) {
    this.#figure("first-words", firstS && `${firstS.toFixed(2)} s`);
    this.#figure("final-delay", finalS && `${finalS.toFixed(2)} s`);
    this.#figure("speed", speed && `${speed.toFixed(speed < 10 ? 1 : 0)} × real time`);
    if (language) this.#part("heard").textContent = `· ${languageName(language)}`;
  }

  /** Whether there is a transcript to save. */
  offer(isSomething) {
    this.#part("results").hidden = !isSomething;
  }

  redraw() {
    this.#wave.redraw();
  }

  #start() {
    this.#wave.rest();
    this.#part("clock").textContent = "";
    this.#part("heard").textContent = "";
    this.#part("progress").value = 0;
    for (const figure of this.#part("figures").children) figure.hidden = true;
  }

  #quiet() {
    this.#part("start").style.setProperty("--level", 0);
    this.#part("level").ariaValueNow = 0;
  }

  #figure(id, text) {
    if (!text) return;
    this.#part(id).textContent = text;
    this.#part(id).parentElement.hidden = false;
  }

  #part(id) {
    return this.#element.querySelector(`#${id}`);
  }
}

function statusOf(phase, source) {
  const isFile = source.durationS !== null;
  return {
    [PHASES.OPENING]: isFile ? `Reading ${source.name}` : "Waiting for the microphone",
    [PHASES.CONNECTING]: "Connecting",
    [PHASES.LIVE]: isFile ? `Transcribing ${source.name}` : "Listening",
    [PHASES.FINISHING]: source.isLive ? "Finishing" : `Transcribing ${source.name}`,
  }[phase];
}
