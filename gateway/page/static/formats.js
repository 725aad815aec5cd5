/**
 * A transcript as a file: plain text, SRT, WebVTT, JSON. Pure.
 */

import { cues } from "./subtitles.js";
import { subtitleTime } from "./times.js";

/** By the file's extension: its media type, and the text of utterances. */
export const FORMATS = Object.freeze({
  txt: { type: "text/plain", write: plainText },
  srt: { type: "application/x-subrip", write: subRip },
  vtt: { type: "text/vtt", write: webVtt },
  json: { type: "application/json", write: json },
});

/** One utterance to a line. */
function plainText(utterances) {
  return utterances.map(({ text }) => `${text}\n`).join("");
}

function subRip(utterances) {
  return cues(utterances)
    .map(({ start, end, text }, index) => {
      return `${index + 1}\n${subtitleTime(start)} --> ${subtitleTime(end)}\n${text}\n\n`;
    })
    .join("");
}

function webVtt(utterances) {
  const blocks = cues(utterances).map(({ start, end, text }) => {
    const escaped = text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
    return `${subtitleTime(start, ".")} --> ${subtitleTime(end, ".")}\n${escaped}\n`;
  });
  return ["WEBVTT\n", ...blocks].join("\n");
}

/** Everything that is known of the utterances, in the protocol's own words. */
function json(utterances) {
  const transcriptions = utterances.map((utterance) => ({
    start_time: seconds(utterance.start),
    end_time: seconds(utterance.end),
    transcript: utterance.text,
    confidence: utterance.confidence,
    language_code: utterance.language,
    language_prob: utterance.languageProbability,
    possible_hallucination: utterance.isDoubtful,
    is_final: utterance.isFinal,
    segments: utterance.segments.map((segment) => ({
      start_time: seconds(segment.start),
      end_time: seconds(segment.end),
      text: segment.text,
      word_timestamps: segment.words.map((word) => ({
        word: word.text,
        start_time: seconds(word.start),
        end_time: seconds(word.end),
        prob: word.probability,
      })),
    })),
  }));
  return `${JSON.stringify({ transcriptions }, null, 2)}\n`;
}

/** To the millisecond: sums of seconds have digits that mean nothing. */
function seconds(value) {
  return Math.round(value * 1000) / 1000;
}
