/**
 * Samples as the browser has them, float32 from -1 to 1, made into what the server takes. Pure; the
 * audio worklet uses it too.
 */

/** Hz. The server takes up to this much; faster microphones are decimated. */
export const MAX_RATE = 48_000;
const QUIETEST_DB = -60;
const INT16_MAX = 32_767;

/** How many samples of a microphone at `rate` Hz become one. */
export function decimationFor(rate) {
  return Math.ceil(rate / MAX_RATE);
}

/**
 * Means of so many samples each. What a microphone above 48 kHz has beyond the new band is too weak
 * for its aliases to be heard, so a mean is filter enough. The length must be a multiple.
 */
export function decimate(samples, factor) {
  if (factor === 1) return samples;
  return Float32Array.from({ length: samples.length / factor }, (_, index) => {
    let sum = 0;
    for (let i = 0; i < factor; i++) sum += samples[index * factor + i];
    return sum / factor;
  });
}

/** The mean of channels of one length. */
export function mixDown(channels) {
  if (channels.length === 1) return channels[0];
  return Float32Array.from(channels[0], (_, index) => {
    let sum = 0;
    for (const channel of channels) sum += channel[index];
    return sum / channels.length;
  });
}

/** `pcm_s16le`: signed 16 bit. Louder than full scale is clipped. */
export function toInt16(samples) {
  return Int16Array.from(samples, (sample) =>
    Math.round(Math.max(-1, Math.min(1, sample)) * INT16_MAX),
  );
}

/** How loud samples are, from 0 (-60 dBFS or less) to 1 (full scale), even in decibels. */
export function loudness(samples) {
  let power = 0;
  for (const sample of samples) power += sample * sample;
  const db = 10 * Math.log10(power / samples.length || Number.MIN_VALUE);
  return Math.max(0, Math.min(1, 1 - db / QUIETEST_DB));
}
