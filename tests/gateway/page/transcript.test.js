import assert from "node:assert/strict";
import { test } from "node:test";

import { Transcript, pieces, spaced, tokens } from "../../../gateway/page/static/transcript.js";
import { transcription } from "./messages.js";

function taking(...messages) {
  const transcript = new Transcript();
  transcript.begin();
  for (const message of messages) transcript.take(message);
  return transcript;
}

const texts = ({ settled }) => settled.map(({ text }) => text);
const joined = (parts) => parts.map(({ text }) => text).join("");

test("a partial is open, the next replaces it, and the final settles", () => {
  const transcript = taking(transcription("And so", { isFinal: false }));
  assert.equal(transcript.open.text, "And so");
  transcript.take(transcription("And so my", { isFinal: false, committed: "And so" }));
  assert.equal(transcript.open.committed, "And so");
  transcript.take(transcription("And so, my fellow."));
  assert.equal(transcript.open, null);
  assert.deepEqual(texts(transcript), ["And so, my fellow."]);
});

test("a text that is taken back is not there any more", () => {
  const transcript = taking(transcription("Hm", { isFinal: false }), transcription(""));
  assert.ok(transcript.isEmpty);
});

test("connections follow one another on one clock", () => {
  const transcript = taking(transcription("One two", { start: 1 }));
  transcript.end(10);
  transcript.begin();
  transcript.take(transcription("three", { start: 0.5 }));
  const [first, second] = transcript.settled;
  assert.deepEqual([first.start, first.end, second.start, second.end], [1, 2, 10.5, 11]);
  assert.deepEqual(second.segments[0].words, [{ text: "three", start: 10.5, end: 11, probability: 0.75 }]);
  assert.notEqual(first.id, second.id);
});

test("what was open when the connection ended is kept and marked", () => {
  const transcript = taking(transcription("And so", { isFinal: false }));
  transcript.end(2);
  assert.deepEqual(texts(transcript), ["And so"]);
  assert.equal(transcript.settled[0].isCutOff, true);
  assert.equal(transcript.open, null);
});

test("a cleared transcript begins at 0 again", () => {
  const transcript = taking(transcription("One"));
  transcript.end(10);
  transcript.clear();
  assert.ok(transcript.isEmpty);
  transcript.begin();
  transcript.take(transcription("two"));
  assert.equal(transcript.settled[0].start, 0);
});

test("a partial's words know whether they are committed, also where a word is in part", () => {
  assert.deepEqual(tokens("Ask what you", "Ask what"), [
    { text: "Ask ", isCommitted: true },
    { text: "what", isCommitted: true },
    { text: " ", isCommitted: false },
    { text: "you", isCommitted: false },
  ]);
  assert.deepEqual(tokens("国が何を", "国が"), [
    { text: "国が", isCommitted: true },
    { text: "何を", isCommitted: false },
  ]);
  assert.deepEqual(tokens("Ask", "Tell"), [{ text: "Ask", isCommitted: false }]);
  assert.deepEqual(tokens("", ""), []);
});

test("words keep the space behind them, so that together they are the text", () => {
  for (const text of ["", " ", "one", " one  two ", "eins, zwei\ndrei"]) assert.equal(spaced(text).join(""), text);
});

test("words are found in their text, and all pieces together are the text", () => {
  const word = (text) => ({ text, start: 0, end: 1, probability: 1 });
  const text = "Well, well: it’s «done».";
  const found = pieces({ text, words: ["Well,", "well:", "nowhere", "it’s", "done"].map(word) });
  assert.equal(joined(found), text);
  assert.deepEqual(
    found.filter((piece) => piece.word).map((piece) => piece.text),
    ["Well,", "well:", "it’s", "done"],
  );
  assert.deepEqual(pieces({ text: "As it is.", words: [] }), [{ text: "As it is.", word: null }]);
});
