/** How a recording may be sent: as fast as it is taken, or as it was spoken, silent or aloud. */
export const PACES = Object.freeze({ FAST: "fast", REAL_TIME: "real-time", ALOUD: "aloud" });
