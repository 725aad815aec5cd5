/**
 * How a page shows an API key to the server. Pure.
 *
 * A browser cannot set headers on a websocket, but it can offer subprotocols: one that is answered,
 * and one that carries the key in base64url, since a subprotocol may not have all characters.
 */

const ANSWERED = "streaming-whisper";

/** The subprotocols to open a websocket with; `key` may be empty. */
export function subprotocols(key) {
  if (!key) return [ANSWERED];
  const encoded = btoa(utf8(key)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  return [ANSWERED, `api-key.${encoded}`];
}

/** The headers of a plain request with this key. */
export function headers(key) {
  return key ? { Authorization: `Api-Key ${utf8(key)}` } : {};
}

/** UTF-8's bytes, one character each: what btoa and header values take. */
function utf8(text) {
  return String.fromCharCode(...new TextEncoder().encode(text));
}
