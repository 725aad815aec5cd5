/**
 * A recording from a file, decoded and resampled by the browser, sent packet by packet. Of a
 * session it knows `backlogBytes`.
 */

import { PACES } from "./paces.js";
import { loudness, mixDown, toInt16 } from "./pcm.js";
import { ofFile } from "./problems.js";

const RATE = 16_000; // Hz; what the engine hears, so nothing is sent in vain
const PACKET_SAMPLES = RATE / 10;
const MAX_BACKLOG_BYTES = 8 * RATE * 2; // 8 s: the server is kept busy and a stop is soon felt
const LOOK_MS = 20; // nothing tells when a websocket has sent what it holds

export class Recording {
  #samples;
  #stopped = false;
  #playback = null;

  /** Hz of the packets. */
  sampleRate = RATE;

  constructor(file, pace) {
    this.file = file;
    this.pace = pace;
    this.name = file.name;
    this.isLive = pace !== PACES.FAST;
  }

  get durationS() {
    return (this.#samples?.length ?? 0) / RATE; // 0 until it is open
  }

  /** Read and decode. Rejects when the browser cannot read it, or when it holds no audio. */
  async open() {
    const context = new OfflineAudioContext(1, 1, RATE);
    const audio = await context.decodeAudioData(await this.file.arrayBuffer());
    const channels = Array.from({ length: audio.numberOfChannels }, (_, i) => audio.getChannelData(i));
    this.#samples = mixDown(channels);
    if (!this.#samples.length) throw new RangeError("no audio in it");
  }

  whyNot() {
    return ofFile(this.name);
  }

  /** Give all of it to `onPacket({pcm, level})` at its pace, or until `close`. */
  async deliver(onPacket, session) {
    if (this.pace === PACES.ALOUD) this.#play();
    const startedAt = performance.now();
    for (let at = 0; at < this.#samples.length && !this.#stopped; at += PACKET_SAMPLES) {
      const samples = this.#samples.subarray(at, at + PACKET_SAMPLES);
      const dueMs = (1000 * (at + samples.length)) / RATE;
      if (this.pace === PACES.FAST) await this.#room(session);
      else await delay(startedAt + dueMs - performance.now());
      if (!this.#stopped) onPacket({ pcm: toInt16(samples).buffer, level: loudness(samples) });
    }
  }

  close() {
    this.#stopped = true;
    this.#playback?.close();
    this.#playback = null;
  }

  async #room(session) {
    while (session.backlogBytes > MAX_BACKLOG_BYTES && !this.#stopped) await delay(LOOK_MS);
  }

  #play() {
    this.#playback = new AudioContext();
    const buffer = this.#playback.createBuffer(1, this.#samples.length, RATE);
    buffer.copyToChannel(this.#samples, 0);
    const source = new AudioBufferSourceNode(this.#playback, { buffer });
    source.connect(this.#playback.destination);
    source.start();
  }
}

function delay(ms) {
  return ms > 0 ? new Promise((resolve) => setTimeout(resolve, ms)) : undefined;
}
