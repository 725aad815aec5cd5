/**
 * The line above the controls: how loud it has been, the newest at the right. Straight when nothing
 * is heard. Where the reader wants no motion it is one bar that grows and shrinks a few times a
 * second.
 */

const BAR_PX = 2;
const STEP_PX = 4;
const REST_PX = 1;
const STILL_MS = 250;

export class Waveform {
  #canvas;
  #pen;
  #levels = [];
  #isDue = false;
  #drawnAt = 0;
  #calm = matchMedia("(prefers-reduced-motion: reduce)");

  constructor(canvas) {
    this.#canvas = canvas;
    this.#pen = canvas.getContext("2d");
    new ResizeObserver(() => this.redraw()).observe(canvas);
  }

  /** One more bar, from 0 to 1. */
  push(level) {
    this.#levels.push(level);
    const most = Math.ceil(this.#canvas.clientWidth / STEP_PX);
    if (this.#levels.length > 2 * most) this.#levels.splice(0, this.#levels.length - most);
    this.redraw();
  }

  /** Straight again. */
  rest() {
    this.#levels = [];
    this.#drawnAt = 0;
    this.redraw();
  }

  /** Draw with the next frame. */
  redraw() {
    if (this.#isDue) return;
    this.#isDue = true;
    requestAnimationFrame((now) => {
      this.#isDue = false;
      if (this.#calm.matches && this.#levels.length && now - this.#drawnAt < STILL_MS) return;
      this.#drawnAt = now;
      this.#draw();
    });
  }

  #draw() {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    const scale = devicePixelRatio;
    this.#canvas.width = width * scale;
    this.#canvas.height = height * scale;
    this.#pen.scale(scale, scale);
    this.#pen.fillStyle = getComputedStyle(this.#canvas).color;
    if (this.#calm.matches) this.#drawBar(width, height);
    else this.#drawHistory(width, height);
  }

  #drawBar(width, height) {
    const level = this.#levels.at(-1) ?? 0;
    this.#drawRest(width, height);
    this.#pen.fillRect(0, height / 2 - 3, width * level, 6);
  }

  #drawRest(width, height) {
    this.#pen.globalAlpha = 0.4;
    this.#pen.fillRect(0, Math.floor(height / 2), width, REST_PX);
    this.#pen.globalAlpha = 1;
  }

  #drawHistory(width, height) {
    const count = Math.ceil(width / STEP_PX);
    const levels = this.#levels.slice(-count);
    if (!levels.length) this.#drawRest(width, height);
    for (let i = 0; i < count && levels.length; i++) {
      const level = levels[levels.length - 1 - i] ?? 0;
      const size = Math.max(REST_PX, level * level * height);
      this.#pen.globalAlpha = 1 - 0.85 * (i / count);
      this.#pen.fillRect(width - (i + 1) * STEP_PX, (height - size) / 2, BAR_PX, size);
    }
  }
}
