/**
 * One run from Start to its end: a source of audio, the session it goes to, and what comes back.
 * Knows no page; it says what happens through `on`.
 *
 * A source is a `Microphone` or a `Recording`: `open`, `sampleRate`, `deliver`, `close`, `whyNot`.
 */

import { ofLostMicrophone } from "./problems.js";
import { Session } from "./session.js";
import { metadata } from "./settings.js";
import { Timeline } from "./timeline.js";

export const PHASES = Object.freeze({
  OPENING: "opening",
  CONNECTING: "connecting",
  LIVE: "live",
  FINISHING: "finishing",
  OVER: "over",
});

const BYTES_PER_SAMPLE = 2;

export class Run {
  #on;
  #session = null;
  #lost = null;

  phase = null;
  timeline = new Timeline();

  /**
   * `on` has `phase(phase)`, `level(0 to 1)`, `message(transcription, lateness)`,
   * `problem(problem)`, and `over(problem)`, last of all, with null after a regular end.
   */
  constructor(source, on) {
    this.source = source;
    this.#on = on;
  }

  /** Open the source, then the session, and send until the source or the reader ends it. */
  async start(settings, key) {
    const { source } = this;
    this.#enter(PHASES.OPENING);
    try {
      await source.open();
      if (this.phase === PHASES.OVER) return source.close(); // stopped meanwhile
      this.#enter(PHASES.CONNECTING);
      this.#session = this.#connect(metadata(settings, source.sampleRate), key);
      await source.deliver((packet) => this.#send(packet), this.#session);
      this.#ended();
    } catch (error) {
      source.close();
      this.#session?.abandon();
      this.#over(source.whyNot(error));
    }
  }

  /** Send nothing more and wait for the rest; a second time, do not wait. */
  stop() {
    if (this.phase === PHASES.LIVE) this.#finish();
    else {
      this.#session?.abandon();
      this.#over(null);
    }
  }

  #connect(first, key) {
    return new Session(first, key, {
      open: () => this.phase === PHASES.CONNECTING && this.#enter(PHASES.LIVE),
      message: (message) => {
        const isTimed = this.source.isLive;
        this.#on.message(message, isTimed ? this.timeline.measure(message, performance.now()) : {});
      },
      problem: (problem) => this.#on.problem(problem),
      close: (problem) => this.#over(problem ?? this.#lost),
    });
  }

  #send({ pcm, level }) {
    if (![PHASES.CONNECTING, PHASES.LIVE].includes(this.phase)) return; // it was on its way
    this.timeline.add(pcm.byteLength / BYTES_PER_SAMPLE / this.source.sampleRate, performance.now());
    this.#session.send(pcm);
    this.#on.level(level);
  }

  /** The source has no more audio: the file's end, or a microphone that is gone. */
  #ended() {
    if (![PHASES.CONNECTING, PHASES.LIVE].includes(this.phase)) return;
    if (this.source.durationS === null) this.#lost = ofLostMicrophone();
    this.#finish();
  }

  #finish() {
    this.source.close();
    this.#session.end();
    this.#enter(PHASES.FINISHING);
  }

  #over(problem) {
    if (this.phase === PHASES.OVER) return;
    this.source.close();
    this.#enter(PHASES.OVER);
    this.#on.over(problem);
  }

  #enter(phase) {
    this.phase = phase;
    this.#on.phase(phase);
  }
}
