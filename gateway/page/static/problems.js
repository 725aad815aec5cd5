/**
 * What went wrong, in plain words: `{title, detail, remedy, waitS}`. Pure.
 *
 * `remedy` is what the reader is offered: `again`, `key` (then again), or null. `waitS` is how long
 * the server asks to wait before that.
 */

const MICROPHONE = {
  NotAllowedError: ["The microphone is blocked", "Allow it for this page in the browser's address bar, then try again."],
  NotFoundError: ["No microphone was found", "Plug one in, or choose a file instead."],
  AbortError: ["The server cannot be reached", "It may be down, or the network is."], // a part of the page is missing
  NotReadableError: ["The microphone cannot be used", "Another program may be holding it. Close that, then try again."],
};

const REFUSALS = {
  too_many_streams: ["All streams are taken", "Others are being served. One will be free soon."],
  overloaded: ["The server is busy", "Words would come late, so it takes nobody new for the moment."],
  stopping: ["The server is stopping", "It may be back in a moment."],
  upgrade_required: ["There was no connection", "If it fails again, something in between lets no websockets through."],
};

const CLOSES = {
  1000: ["The session is over", "The server ends one that has been silent for hours."],
  1006: ["The connection was lost", "What was said up to here is kept."],
  1008: ["The server refused the settings", ""],
  1009: ["The server refused the audio", ""],
  1011: ["The engine is unavailable", ""],
  1012: ["The server is restarting", "What was said up to here is kept."],
  1013: ["The connection is too slow", "Captions piled up faster than they could be delivered."],
};

/** Why there is no microphone, from what `Microphone.open` rejects with. */
export function ofMicrophone(error, isSecurePage) {
  if (!isSecurePage) {
    return problem("No microphone on this address", "Browsers give it only to pages over https or on localhost. Files work.", null);
  }
  const [title, detail] = MICROPHONE[error.name] ?? ["The microphone cannot be used", error.message];
  return problem(title, detail);
}

/** Why a file cannot be sent. */
export function ofFile(name) {
  return problem(
    `${name} cannot be read as audio`,
    "Most browsers read WAV, MP3, M4A, FLAC, Ogg and WebM, and the sound of MP4 videos.",
    null,
  );
}

/**
 * Why the server would not open a session. `answer` is what it says to a plain request: null when
 * it says nothing of use, else `{status, type, retryAfterS}`.
 */
export function ofRefusal(answer, hadKey) {
  if (!answer) return problem("The server cannot be reached", "It may be down, or the network is.");
  if (answer.status === 401) {
    return hadKey
      ? problem("The server does not know this key", "Check it, then try again.", "key")
      : problem("The server asks for a key", "Whoever runs it can give you one.", "key");
  }
  const [title, detail] = REFUSALS[answer.type] ?? ["The server refused the connection", `It answers with status ${answer.status}.`];
  return problem(title, detail, "again", answer.retryAfterS ?? 0);
}

/** Why a session ended before its time. `said` is the server's last error, if it gave one. */
export function ofClose(code, said) {
  const [title, detail] = CLOSES[code] ?? ["The session was closed", `The server gave code ${code}.`];
  return problem(title, said ? `It says: ${said}` : detail);
}

/** An error that the session survives. */
export function ofError(said) {
  return problem("Something was left out", `The server says: ${said}`, null);
}

/** A file came while something else is being transcribed. */
export function ofBusy(name) {
  return problem(`${name} has to wait`, "Something is being transcribed. Stop it first, or let it finish.", null);
}

/** The microphone was unplugged, or the system took it. */
export function ofLostMicrophone() {
  return problem("The microphone is gone", "What was said up to here is kept.");
}

function problem(title, detail, remedy = "again", waitS = 0) {
  return { title, detail, remedy, waitS };
}
