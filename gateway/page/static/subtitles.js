/**
 * Subtitles of a transcript: which words are shown together, when, and on which line. Pure.
 *
 * A cue is `{start, end, text}`. A segment is cut where sentences and pauses are once it is longer
 * than a reader takes in at once: about two lines of 42 characters, for up to 7 s, as broadcasters have
 * it (the BBC's and Netflix' guidelines for subtitles). Words without times get them by their length.
 */

import { pieces, spaced } from "./transcript.js";

const LINE_CHARS = 42;
const CUE_CHARS = 2 * LINE_CHARS;
const CUE_S = 7;
const PAUSE_S = 0.6;
const SENTENCE_END = /[.?!…。？！]["'”’»)]*\s*$/u;

/** The cues of utterances, in order. */
export function cues(utterances) {
  return utterances.flatMap(({ segments }) => segments.flatMap(segmentCues));
}

function segmentCues(segment) {
  const found = [];
  let words = [];
  const isSplit = segment.text.length > CUE_CHARS || segment.end - segment.start > CUE_S;
  for (const word of timed(segment)) {
    if (isSplit && words.length && endsBefore(word, words)) {
      found.push(cue(words));
      words = [];
    }
    words.push(word);
  }
  return words.length ? [...found, cue(words)] : found;
}

function endsBefore(word, words) {
  const text = words.map(({ text }) => text).join("");
  const last = words.at(-1);
  if (text.length + word.text.trimEnd().length > CUE_CHARS) return true;
  if (word.end - words[0].start > CUE_S) return true;
  return text.length > LINE_CHARS / 2 && (SENTENCE_END.test(text) || word.start - last.end > PAUSE_S);
}

function cue(words) {
  const text = words.map((word) => word.text).join("").trim();
  return { start: words[0].start, end: words.at(-1).end, text: lines(text) };
}

/** On two lines, as even as may be, when one is too short. */
function lines(text) {
  if (text.length <= LINE_CHARS) return text;
  const middle = text.length / 2;
  const spaces = [...text.matchAll(/\s+/gu)].map(({ index }) => index);
  if (!spaces.length) return text;
  const best = spaces.reduce((a, b) => (Math.abs(b - middle) < Math.abs(a - middle) ? b : a));
  return `${text.slice(0, best)}\n${text.slice(best).trimStart()}`;
}

/** A segment's words with what follows each, `{text, start, end}`. */
function timed(segment) {
  const found = [];
  for (const { text, word } of pieces(segment)) {
    if (word) found.push({ text, start: word.start, end: word.end });
    else if (found.length) found.at(-1).text += text;
    else if (text.trim()) return interpolated(segment);
  }
  return found.length ? found : interpolated(segment);
}

function interpolated({ text, start, end }) {
  const words = spaced(text).flatMap((word) => (word.length > LINE_CHARS ? [...word] : [word]));
  const perChar = (end - start) / (text.length || 1);
  let at = start;
  return words.map((word) => {
    const began = at;
    at += word.length * perChar;
    return { text: word, start: began, end: at };
  });
}
