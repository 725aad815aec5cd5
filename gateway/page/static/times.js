/**
 * Seconds as people read them and as subtitle files want them. Pure.
 */

/** As on a clock: `0:03`, `12:41`, `1:02:03`. */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  const rest = pad(whole % 60);
  return hours ? `${hours}:${pad(minutes)}:${rest}` : `${minutes}:${rest}`;
}

/** The same to the hundredth: `0:03.48`. */
export function exactClock(seconds) {
  const hundredths = Math.max(0, Math.round(seconds * 100));
  return `${clock(hundredths / 100)}.${pad(hundredths % 100)}`;
}

/** `00:00:03,480` of SRT; with `separator` `.` that of WebVTT. */
export function subtitleTime(seconds, separator = ",") {
  const ms = Math.max(0, Math.round(seconds * 1000));
  const parts = [Math.floor(ms / 3_600_000), Math.floor(ms / 60_000) % 60, Math.floor(ms / 1000) % 60];
  return `${parts.map((part) => pad(part)).join(":")}${separator}${pad(ms % 1000, 3)}`;
}

/** `2026-03-09-1405`, for file names, in the reader's own time. */
export function stamp(date) {
  const day = [date.getFullYear(), date.getMonth() + 1, date.getDate()].map((part) => pad(part));
  return `${day.join("-")}-${pad(date.getHours())}${pad(date.getMinutes())}`;
}

function pad(number, digits = 2) {
  return String(number).padStart(digits, "0");
}
