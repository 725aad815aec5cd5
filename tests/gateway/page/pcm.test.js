import assert from "node:assert/strict";
import { test } from "node:test";

import { MAX_RATE, decimate, decimationFor, loudness, mixDown, toInt16 } from "../../../gateway/page/static/pcm.js";

test("samples become int16, and what is louder than full scale is clipped", () => {
  const given = Float32Array.of(0, 1, -1, 0.5, 2, -2);
  assert.deepEqual([...toInt16(given)], [0, 32767, -32767, 16384, 32767, -32767]);
});

test("every microphone's rate comes down to one that the server takes", () => {
  const rates = [8000, 16_000, 44_100, 48_000, 88_200, 96_000, 176_400, 192_000, 384_000];
  assert.deepEqual(rates.map(decimationFor), [1, 1, 1, 1, 2, 2, 4, 4, 8]);
  for (const rate of rates) assert.ok(rate / decimationFor(rate) <= MAX_RATE);
});

test("decimation keeps a low tone and takes away one above the new band", () => {
  const tone = (hz) => Float32Array.from({ length: 9600 }, (_, i) => Math.sin((2 * Math.PI * hz * i) / 96_000));
  const peak = (samples) => Math.max(...samples.map(Math.abs));
  assert.ok(peak(decimate(tone(440), 2)) > 0.99);
  assert.ok(peak(decimate(tone(47_000), 2)) < 0.1);
  assert.equal(decimate(tone(440), 2).length, 4800);
});

test("channels become their mean", () => {
  assert.deepEqual([...mixDown([Float32Array.of(1, 0), Float32Array.of(0, 0.5)])], [0.5, 0.25]);
  assert.deepEqual([...mixDown([Float32Array.of(1, 0.25)])], [1, 0.25]);
});

test("loudness is 0 in silence, 1 at full scale, and even in decibels between", () => {
  const constant = (value) => Float32Array.from({ length: 512 }, () => value);
  assert.equal(loudness(constant(0)), 0);
  assert.equal(loudness(constant(1)), 1);
  assert.ok(Math.abs(loudness(constant(10 ** (-30 / 20))) - 0.5) < 1e-6);
  assert.equal(loudness(constant(1e-4)), 0);
});
