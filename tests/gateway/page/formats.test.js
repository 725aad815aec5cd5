import assert from "node:assert/strict";
import { test } from "node:test";

import { FORMATS } from "../../../gateway/page/static/formats.js";
import { cues } from "../../../gateway/page/static/subtitles.js";
import { Transcript } from "../../../gateway/page/static/transcript.js";
import { transcription } from "./messages.js";

const LONG =
  "It is a truth universally acknowledged, that a single man in possession of a good fortune, " +
  "must be in want of a wife. However little known the feelings of such a man may be, it is so.";

function utterances(...messages) {
  const transcript = new Transcript();
  for (const message of messages) transcript.take(message);
  return transcript.settled;
}

const words = (text) => text.split(/\s+/).filter(Boolean).join(" ");

test("text has a line for each utterance", () => {
  const given = utterances(transcription("One."), transcription("Two."));
  assert.equal(FORMATS.txt.write(given), "One.\nTwo.\n");
});

test("SRT has numbers from 1, times with commas, and an empty line behind each", () => {
  const given = utterances(transcription("One two."), transcription("Three.", { start: 5 }));
  assert.equal(
    FORMATS.srt.write(given),
    "1\n00:00:00,000 --> 00:00:01,000\nOne two.\n\n2\n00:00:05,000 --> 00:00:05,500\nThree.\n\n",
  );
});

test("WebVTT has its header, and what would be markup is escaped", () => {
  const given = utterances(transcription("a <b> & c --> d"));
  assert.equal(
    FORMATS.vtt.write(given),
    "WEBVTT\n\n00:00:00.000 --> 00:00:03.000\na &lt;b&gt; &amp; c --&gt; d\n",
  );
});

test("JSON has everything, in the protocol's own words, with times that have no stray digits", () => {
  const transcript = new Transcript();
  transcript.end(0.1);
  transcript.take(transcription("One two.", { start: 0.2 }));
  const { transcriptions } = JSON.parse(FORMATS.json.write(transcript.settled));
  assert.equal(transcriptions.length, 1);
  const [{ segments, ...found }] = transcriptions;
  assert.deepEqual(found, {
    start_time: 0.3,
    end_time: 1.3,
    transcript: "One two.",
    confidence: 0.5,
    language_code: "en",
    language_prob: null,
    possible_hallucination: false,
    is_final: true,
  });
  assert.deepEqual(segments[0].word_timestamps[0], { word: "One", start_time: 0.3, end_time: 0.8, prob: 0.75 });
});

test("nothing said is an empty file of its kind", () => {
  assert.equal(FORMATS.txt.write([]), "");
  assert.equal(FORMATS.srt.write([]), "");
  assert.equal(FORMATS.vtt.write([]), "WEBVTT\n");
  assert.deepEqual(JSON.parse(FORMATS.json.write([])), { transcriptions: [] });
});

for (const hasWords of [true, false]) {
  test(`a long utterance is cut into cues that can be read, ${hasWords ? "with" : "without"} word times`, () => {
    const given = utterances(transcription(LONG, { hasWords, start: 2 }));
    const found = cues(given);
    assert.ok(found.length >= 3);
    assert.equal(words(found.map(({ text }) => text).join(" ")), LONG);
    assert.equal(found[0].start, 2);
    assert.ok(Math.abs(found.at(-1).end - given[0].end) < 1e-6);
    for (const { start, end, text } of found) {
      assert.ok(end > start && end - start <= 7);
      assert.ok(text.split("\n").length <= 2);
      for (const line of text.split("\n")) assert.ok(line.length <= 50, line);
    }
    for (let i = 1; i < found.length; i++) assert.ok(found[i].start >= found[i - 1].end - 1e-9);
  });
}

test("a cue ends with its sentence", () => {
  const texts = cues(utterances(transcription(LONG))).map(({ text }) => words(text));
  assert.ok(texts.some((text) => text.endsWith("of a wife.")));
});

test("a text without spaces is cut all the same", () => {
  const text = "国があなたのために何をしてくれるかではなく".repeat(6);
  const found = cues(utterances(transcription(text, { hasWords: false })));
  assert.equal(found.map((cue) => cue.text).join(""), text);
  assert.ok(found.length > 1);
});
