/**
 * What the reader can choose, and the metadata of docs/protocol.md that says so. Pure.
 */

import { PACES } from "./paces.js";

/** Of every setting. The server's own are the same, but for the language and the word times. */
export const DEFAULTS = Object.freeze({
  language: "auto",
  prompt: "",
  partials: true,
  cadence: 0.5, // seconds of audio between two partials
  words: true,
  threshold: 0.5, // probability of speech
  silence: 300, // ms that end an utterance
  pad: 0, // ms before and after the speech
  pace: PACES.FAST,
});

/** Stored settings made whole: what is missing, unknown or of another type is the default. */
export function complete(stored) {
  return Object.fromEntries(
    Object.entries(DEFAULTS).map(([name, value]) => {
      const found = stored?.[name];
      return [name, typeof found === typeof value ? found : value];
    }),
  );
}

/** The session's first message for audio of `sampleRate` Hz. */
export function metadata(settings, sampleRate) {
  return {
    whisper_params: {
      audio_language: settings.language,
      prompt: settings.prompt,
      show_word_timestamps: settings.words,
    },
    streaming_params: {
      encoding: "pcm_s16le",
      sample_rate: sampleRate,
      enable_partial_transcripts: settings.partials,
      partial_transcript_interval_s: settings.cadence,
    },
    streaming_vad_config: {
      threshold: settings.threshold,
      min_silence_duration_ms: settings.silence,
      speech_pad_ms: settings.pad,
    },
  };
}
