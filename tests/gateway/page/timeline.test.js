import assert from "node:assert/strict";
import { test } from "node:test";

import { Timeline } from "../../../gateway/page/static/timeline.js";
import { transcription } from "./messages.js";

const PACKET_S = 0.032;

/** A timeline of so many packets that came in real time, from `beganAt` ms on. */
function live(packets, beganAt = 1000) {
  const timeline = new Timeline();
  for (let i = 1; i <= packets; i++) timeline.add(PACKET_S, beganAt + i * PACKET_S * 1000);
  return timeline;
}

const near = (found, wanted) => assert.ok(Math.abs(found - wanted) < 1e-6, `${found} is not ${wanted}`);

test("a moment within a packet was spoken before the packet was there", () => {
  const timeline = live(100);
  near(timeline.position, 3.2);
  near(timeline.since(1.01, 1000 + 1510), 0.5);
  near(timeline.since(0, 1000 + 1510), 1.51);
});

test("packets that come in bursts were spoken before their last one", () => {
  const timeline = new Timeline();
  timeline.add(1, 2000);
  timeline.add(1, 2000);
  near(timeline.since(1.5, 2000), 0.5);
});

test("what has not been sent has no lateness", () => {
  assert.equal(live(10).since(5, 9000), null);
  assert.equal(new Timeline().since(0, 1), null);
});

test("first words are timed once for each utterance, from where its speech began", () => {
  const timeline = live(200);
  const partial = (number, start, now) =>
    timeline.measure(transcription("And so", { number, start, isFinal: false }), now);
  near(partial(0, 0.5, 1000 + 1100).firstS, 0.6);
  assert.deepEqual(partial(0, 0.5, 1000 + 1600), {});
  near(partial(1, 3, 1000 + 3450).firstS, 0.45);
});

test("a partial that takes its text back times nothing", () => {
  const timeline = live(200);
  assert.deepEqual(timeline.measure(transcription("", { isFinal: false }), 1000), {});
});

test("a final is timed from where the speech ended", () => {
  near(live(200).measure(transcription("And so", { start: 1 }), 1000 + 2350).finalS, 0.35);
});

test("hours of audio keep only what can still be asked for", () => {
  const timeline = live(20_000);
  near(timeline.since(timeline.position - 60, 1000 + timeline.position * 1000), 60);
  near(timeline.position, 640);
});
