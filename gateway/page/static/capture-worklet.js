/**
 * Runs on the audio thread: collects the microphone's samples into packets for the page.
 *
 * Each is `{pcm, level}`: little-endian int16 in a buffer that is handed over, and how loud it is.
 * A microphone that gives nothing is silent, so the clock of the audio goes on.
 */

import { decimate, loudness, toInt16 } from "./pcm.js";

const QUANTUM_SAMPLES = 128; // what Web Audio calls `process` with

class Capture extends AudioWorkletProcessor {
  constructor({ processorOptions: { decimation, packetSamples } }) {
    super();
    this.decimation = decimation;
    this.samples = new Float32Array(packetSamples * decimation);
    this.filled = 0;
  }

  process([[channel = new Float32Array(QUANTUM_SAMPLES)]]) {
    let taken = 0;
    while (taken < channel.length) {
      const room = this.samples.length - this.filled;
      const part = channel.subarray(taken, taken + room);
      this.samples.set(part, this.filled);
      this.filled += part.length;
      taken += part.length;
      if (this.filled === this.samples.length) this.post();
    }
    return true;
  }

  post() {
    const pcm = toInt16(decimate(this.samples, this.decimation)).buffer;
    this.port.postMessage({ pcm, level: loudness(this.samples) }, [pcm]);
    this.filled = 0;
  }
}

registerProcessor("capture", Capture);
