import assert from "node:assert/strict";
import { test } from "node:test";

import { headers, subprotocols } from "../../../gateway/page/static/key.js";
import { languageName, languages } from "../../../gateway/page/static/languages.js";
import { ofClose, ofMicrophone, ofRefusal } from "../../../gateway/page/static/problems.js";
import { DEFAULTS, complete } from "../../../gateway/page/static/settings.js";

test("stored settings are made whole, and what does not belong is left out", () => {
  assert.deepEqual(complete(null), DEFAULTS);
  assert.deepEqual(complete({ language: "fr", silence: "300", unknown: 1 }), { ...DEFAULTS, language: "fr" });
  assert.deepEqual(complete({ partials: false, cadence: null }), { ...DEFAULTS, partials: false });
});

test("a key goes into a subprotocol in base64url without padding, beside the one that is answered", () => {
  assert.deepEqual(subprotocols(""), ["streaming-whisper"]);
  assert.deepEqual(subprotocols("first"), ["streaming-whisper", "api-key.Zmlyc3Q"]);
  assert.deepEqual(subprotocols("sécond"), ["streaming-whisper", "api-key.c8OpY29uZA"]);
  assert.deepEqual(subprotocols("\u00ff\u00fe~?"), ["streaming-whisper", "api-key.w7_Dvn4_"]);
});

test("a key goes into a header byte for byte", () => {
  assert.deepEqual(headers(""), {});
  const { Authorization } = headers("sécond");
  assert.equal(Buffer.from(Authorization, "latin1").toString("utf8"), "Api-Key sécond");
});

test("every language has a name of its own, in order", () => {
  const named = languages();
  assert.equal(named.length, 100);
  assert.equal(new Set(named.map(([, name]) => name)).size, 100);
  assert.equal(named.find(([code]) => code === "jw")[1], "Javanese");
  assert.ok(named.every(([code, name]) => name !== code));
  assert.equal(languageName("not a code"), "not a code");
});

test("a refusal says what to do: a key, or to wait as long as the server asks", () => {
  assert.equal(ofRefusal({ status: 401, type: "unauthorized" }, false).remedy, "key");
  assert.match(ofRefusal({ status: 401, type: "unauthorized" }, true).title, /does not know/);
  const busy = ofRefusal({ status: 503, type: "overloaded", retryAfterS: 7 }, true);
  assert.deepEqual([busy.remedy, busy.waitS], ["again", 7]);
  assert.equal(ofRefusal(null, false).title, "The server cannot be reached");
  assert.match(ofRefusal({ status: 418, type: "teapot" }, false).detail, /418/);
});

test("a close tells what the server said before it, or what its code means", () => {
  assert.match(ofClose(1008, "metadata: found 5").detail, /metadata: found 5/);
  assert.match(ofClose(1012, null).title, /restarting/);
  assert.match(ofClose(4000, null).detail, /4000/);
  assert.equal(ofClose(1006, null).remedy, "again");
});

test("without a microphone the reader learns why", () => {
  assert.match(ofMicrophone(new DOMException("", "NotAllowedError"), true).title, /blocked/);
  assert.match(ofMicrophone(new TypeError("undefined"), false).detail, /https/);
  assert.match(ofMicrophone(new Error("odd"), true).detail, /odd/);
});
