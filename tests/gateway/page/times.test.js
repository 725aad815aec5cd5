import assert from "node:assert/strict";
import { test } from "node:test";

import { clock, exactClock, stamp, subtitleTime } from "../../../gateway/page/static/times.js";

test("a clock shows minutes and seconds, and hours where there are any", () => {
  const shown = [0, 3.99, 59.999, 60, 761, 3599.9, 3600, 36_000 + 62].map(clock);
  assert.deepEqual(shown, ["0:00", "0:03", "0:59", "1:00", "12:41", "59:59", "1:00:00", "10:01:02"]);
});

test("an exact clock rounds to the hundredth, over the minute too", () => {
  const shown = [0, 3.476, 3.484, 59.996, 0.07].map(exactClock);
  assert.deepEqual(shown, ["0:00.00", "0:03.48", "0:03.48", "1:00.00", "0:00.07"]);
});

test("a subtitle's time has every part, to the millisecond", () => {
  assert.equal(subtitleTime(3.4804), "00:00:03,480");
  assert.equal(subtitleTime(3.4804, "."), "00:00:03.480");
  assert.equal(subtitleTime(59.9996), "00:01:00,000");
  assert.equal(subtitleTime(36_000 + 61.001), "10:01:01,001");
  assert.equal(subtitleTime(-0.1), "00:00:00,000");
});

test("a stamp sorts by time", () => {
  assert.equal(stamp(new Date(2026, 2, 9, 4, 5)), "2026-03-09-0405");
});
