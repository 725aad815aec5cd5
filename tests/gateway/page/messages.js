/** Messages of the server for the tests of the page's modules. */

/** A `transcription` message; its words have half a second each. */
export function transcription(text, options = {}) {
  const { number = 0, isFinal = true, committed = isFinal ? text : "", start = 0, hasWords = true } = options;
  const words = text.split(" ").filter(Boolean);
  const timed = words.map((word, index) => ({
    word,
    start_time: start + index / 2,
    end_time: start + (index + 1) / 2,
    prob: 0.75,
  }));
  const segment = {
    start_time: start,
    end_time: start + words.length / 2,
    text,
    word_timestamps: hasWords ? timed : [],
    possible_hallucination: false,
  };
  return {
    type: "transcription",
    is_final: isFinal,
    transcription_num: number,
    transcript: text,
    committed,
    confidence: 0.5,
    language_code: "en",
    language_prob: null,
    segments: text ? [segment] : [],
  };
}
