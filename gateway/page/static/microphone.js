/**
 * The microphone, as packets of `pcm_s16le` at the audio context's own rate, or a whole part of it
 * where that is more than the server takes. Knows no server.
 */

import { decimationFor } from "./pcm.js";
import { ofMicrophone } from "./problems.js";

const PACKET_S = 0.032;
const START_MS = 5000; // an audio context never starts where the system has no way to play sound
/** The engine was trained on noise; what browsers do against it costs words. */
const WANTED = { channelCount: 1, echoCancellation: true, noiseSuppression: false, autoGainControl: true };

/** Made in a click's handler, where browsers let an audio context run. */
export class Microphone {
  #stream;
  #context = new AudioContext();
  #decimation = decimationFor(this.#context.sampleRate);

  /** Hz of the packets. */
  sampleRate = Math.round(this.#context.sampleRate / this.#decimation);

  name = "the microphone";
  isLive = true;
  durationS = null;

  /**
   * Ask for the microphone. Rejects with what getUserMedia says, or with a TypeError where the
   * browser has no microphones to give: on pages that are neither https nor on this machine.
   */
  async open() {
    this.#stream = await navigator.mediaDevices.getUserMedia({ audio: WANTED });
    await this.#context.audioWorklet.addModule(new URL("capture-worklet.js", import.meta.url));
  }

  /** Give `onPacket({pcm, level})` every 32 ms of sound. Resolves when the device is gone. */
  async deliver(onPacket) {
    const node = new AudioWorkletNode(this.#context, "capture", {
      channelCount: 1,
      channelCountMode: "explicit",
      processorOptions: {
        decimation: this.#decimation,
        packetSamples: Math.round(PACKET_S * this.sampleRate),
      },
    });
    node.port.onmessage = ({ data }) => onPacket(data);
    // The node is silent; without a way to the loudspeaker some browsers do not run it.
    this.#context.createMediaStreamSource(this.#stream).connect(node).connect(this.#context.destination);
    await Promise.race([this.#context.resume(), failure(START_MS)]);
    const [track] = this.#stream.getAudioTracks();
    await new Promise((resolve) => track.addEventListener("ended", resolve));
  }

  whyNot(error) {
    return ofMicrophone(error, isSecureContext);
  }

  /** Give the microphone back. */
  close() {
    for (const track of this.#stream?.getTracks() ?? []) track.stop(); // which is not told as ended
    if (this.#context.state !== "closed") this.#context.close();
  }
}

function failure(ms) {
  const reason = new DOMException("the browser's audio does not start", "NotReadableError");
  return new Promise((_, reject) => setTimeout(() => reject(reason), ms));
}
