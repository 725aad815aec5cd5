/**
 * The transcript so far: the server's messages made into utterances. Pure, and no page.
 *
 * Each is `{id, text, committed, isFinal, isCutOff, start, end, confidence, language,
 * languageProbability, isDoubtful, segments: [{start, end, text, words}]}`, a word `{text, start,
 * end, probability}`. Times are seconds from the beginning of the transcript: connections follow one
 * another on one clock.
 */

export class Transcript {
  #offset = 0;
  #connections = 0;

  /** The utterances that nothing changes any more. */
  settled = [];
  /** The one that is being said, or null. */
  open = null;

  get isEmpty() {
    return !this.settled.length && !this.open;
  }

  /** A new connection's messages follow. */
  begin() {
    this.#connections += 1;
  }

  /** The connection is over after so many seconds of audio; what was open stays as it is. */
  end(seconds) {
    this.#offset += seconds;
    if (!this.open) return;
    this.settled.push({ ...this.open, isCutOff: true });
    this.open = null;
  }

  clear() {
    this.settled = [];
    this.open = null;
    this.#offset = 0;
  }

  /** Take a `transcription` message. */
  take(message) {
    const utterance = this.#utterance(message);
    this.open = utterance.isFinal || !utterance.text ? null : utterance;
    if (utterance.isFinal && utterance.text) this.settled.push(utterance);
  }

  #utterance(message) {
    const segments = message.segments.map((segment) => this.#segment(segment));
    return {
      id: `${this.#connections}-${message.transcription_num}`,
      text: message.transcript,
      committed: message.committed,
      isFinal: message.is_final,
      isCutOff: false,
      start: segments[0]?.start ?? this.#offset,
      end: segments.at(-1)?.end ?? this.#offset,
      confidence: message.confidence,
      language: message.language_code,
      languageProbability: message.language_prob,
      isDoubtful: message.segments.some((segment) => segment.possible_hallucination),
      segments,
    };
  }

  #segment({ start_time, end_time, text, word_timestamps }) {
    return {
      start: start_time + this.#offset,
      end: end_time + this.#offset,
      text,
      words: word_timestamps.map((word) => ({
        text: word.word,
        start: word.start_time + this.#offset,
        end: word.end_time + this.#offset,
        probability: word.prob,
      })),
    };
  }
}

/**
 * A partial's words, `[{text, isCommitted}]`, each with the space behind it; their texts joined are
 * the partial. A word that is committed in part is two.
 */
export function tokens(text, committed) {
  const length = text.startsWith(committed) ? committed.length : 0;
  return [
    ...spaced(text.slice(0, length)).map((word) => ({ text: word, isCommitted: true })),
    ...spaced(text.slice(length)).map((word) => ({ text: word, isCommitted: false })),
  ];
}

/** Words with the space behind them; joined they are the text. */
export function spaced(text) {
  return text.match(/^\s+|\S+\s*/gu) ?? [];
}

/**
 * A segment's text with its words found in it: `[{text, word}]`, where `word` is null for what lies
 * between. Joined they are the text. A word that is not there letter for letter is left out.
 */
export function pieces({ text, words }) {
  const found = [];
  let at = 0;
  for (const word of words) {
    const start = word.text ? text.indexOf(word.text, at) : -1;
    if (start < 0) continue;
    if (start > at) found.push({ text: text.slice(at, start), word: null });
    found.push({ text: word.text, word });
    at = start + word.text.length;
  }
  if (at < text.length) found.push({ text: text.slice(at), word: null });
  return found;
}
