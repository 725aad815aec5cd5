/**
 * When each moment of the audio was spoken, and so how late its words came. Pure: time is passed in.
 *
 * Positions are seconds of this connection's audio, as in the server's messages. Only audio in real
 * time has a lateness; a file that is sent faster has a speed.
 */

const KEPT = 4096; // packets: two minutes of them at 32 ms, longer than any utterance

export class Timeline {
  #marks = []; // [position at the packet's end, when it was there in ms]
  #shown = -1; // the newest utterance whose first words were timed

  /** Seconds of audio so far. */
  position = 0;

  /** A packet of so many seconds was there at `now`, in ms. */
  add(seconds, now) {
    this.position += seconds;
    this.#marks.push([this.position, now]);
    if (this.#marks.length > KEPT) this.#marks.splice(0, KEPT / 2);
  }

  /** Seconds between the moment at `position` and `now`; null when it is not known. */
  since(position, now) {
    const mark = this.#marks[this.#find(position)];
    if (!mark || !Number.isFinite(position)) return null;
    const spokenAt = mark[1] - (mark[0] - position) * 1000;
    return Math.max(0, now - spokenAt) / 1000;
  }

  /**
   * What a message tells of lateness: `{firstS}` with the first words of an utterance, from where
   * its speech began, `{finalS}` with a final, from where it ended; otherwise `{}`.
   */
  measure(message, now) {
    const { segments, transcription_num: number } = message;
    if (!segments.length) return {};
    if (message.is_final) return { finalS: this.since(segments.at(-1).end_time, now) };
    if (number <= this.#shown || !message.transcript) return {};
    this.#shown = number;
    return { firstS: this.since(segments[0].start_time, now) };
  }

  #find(position) {
    let [low, high] = [0, this.#marks.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#marks[middle][0] < position) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
