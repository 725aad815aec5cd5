/** The languages that Whisper knows, and their names. A test holds them against the server's own. */

const CODES =
  "en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs ro da hu ta no th " +
  "ur hr bg lt la mi ml cy sk te fa lv bn sr az sl kn et mk br eu is hy ne mn bs kk sq sw gl mr " +
  "pa si km sn yo so af oc ka be tg sd gu am yi lo uz fo ht ps tk nn mt sa lb my bo tl mg as tt " +
  "haw ln ha ba jw su yue";

const NAMES = new Intl.DisplayNames("en", { type: "language" });

/** Every language as `[code, name]`, by name. */
export function languages() {
  const named = CODES.split(" ").map((code) => [code, languageName(code)]);
  return named.sort(([, a], [, b]) => a.localeCompare(b, "en"));
}

/** `French` for `fr`; the code itself where nobody knows better. */
export function languageName(code) {
  try {
    return NAMES.of(code === "jw" ? "jv" : code); // Whisper's code for Javanese is its own
  } catch {
    return code;
  }
}
