/**
 * One websocket session of docs/protocol.md: metadata, audio, end, and the server's messages. Knows
 * no audio device and no page.
 *
 * Audio given before the socket is open is kept, so the first word is not lost.
 */

import { headers, subprotocols } from "./key.js";
import { ofClose, ofError, ofRefusal } from "./problems.js";

const PATH = "v1/websocket"; // relative, so that the page works below a prefix
const NORMAL = 1000;

export class Session {
  #socket;
  #key;
  #on;
  #waiting = [];
  #wasOpen = false;
  #isOver = false;
  #lastError = null;

  /**
   * `on` has `open()`, `message(transcription)`, `problem(problem)` for what the session survives,
   * and `close(problem)`, last of all, with null after a regular end.
   */
  constructor(metadata, key, on) {
    this.#key = key;
    this.#on = on;
    this.#waiting.push(JSON.stringify(metadata));
    const url = new URL(PATH, document.baseURI);
    url.protocol = url.protocol.replace("http", "ws");
    this.#socket = new WebSocket(url, subprotocols(key));
    this.#socket.onopen = () => this.#opened();
    this.#socket.onmessage = ({ data }) => this.#received(JSON.parse(data));
    this.#socket.onclose = ({ code }) => this.#closed(code);
  }

  /** Bytes that the network has not taken yet; no end of them before the socket is open. */
  get backlogBytes() {
    const isOpening = this.#socket.readyState === WebSocket.CONNECTING;
    return isOpening ? Infinity : this.#socket.bufferedAmount;
  }

  /** Send a packet of audio. */
  send(pcm) {
    this.#write(pcm);
  }

  /** Nothing more will be sent: the server answers what is left and closes. */
  end() {
    this.#write(JSON.stringify({ type: "end_audio" }));
  }

  /** Close at once; what the server has not said yet is lost. */
  abandon() {
    this.#isOver = true;
    this.#socket.close();
  }

  #write(message) {
    if (this.#socket.readyState === WebSocket.CONNECTING) this.#waiting.push(message);
    else if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(message);
  }

  #opened() {
    this.#wasOpen = true;
    for (const message of this.#waiting.splice(0)) this.#socket.send(message);
    this.#on.open();
  }

  #received(message) {
    if (message.type === "transcription") this.#on.message(message);
    else if (message.type === "end_audio") this.#isOver ||= message.body.status === "finished";
    else if (message.type === "error") {
      this.#lastError = message.message;
      this.#on.problem(ofError(message.message));
    }
  }

  async #closed(code) {
    if (this.#isOver) this.#on.close(null);
    else if (this.#wasOpen) this.#on.close(ofClose(code, code === NORMAL ? null : this.#lastError));
    else this.#on.close(ofRefusal(await this.#whyRefused(), Boolean(this.#key)));
  }

  /** A browser does not say why there is no websocket; the server tells a plain request. */
  async #whyRefused() {
    try {
      const answer = await fetch(new URL(PATH, document.baseURI), { headers: headers(this.#key) });
      const body = await answer.json();
      return { status: answer.status, type: body.type, retryAfterS: body.retry_after_s };
    } catch (error) {
      if (error instanceof TypeError || error instanceof SyntaxError) return null;
      throw error;
    }
  }
}
