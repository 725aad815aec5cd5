/**
 * The page put together: runs of the microphone or of files, and what the reader sees of them.
 */

import { Captions } from "./captions.js";
import { Dock } from "./dock.js";
import { saveFile, takeFiles } from "./files.js";
import { FORMATS } from "./formats.js";
import { Hints } from "./hints.js";
import { KeyDialog } from "./key-dialog.js";
import { Microphone } from "./microphone.js";
import { ProblemBanner } from "./problem-banner.js";
import { ofBusy } from "./problems.js";
import { Recording } from "./recording.js";
import { PHASES, Run } from "./run.js";
import { showServer } from "./server-state.js";
import { SettingsForm } from "./settings-form.js";
import { stamp } from "./times.js";
import { Transcript } from "./transcript.js";
import { keepScreenOn } from "./wake-lock.js";

const part = (id) => document.getElementById(id);

const transcript = new Transcript();
const captions = new Captions({
  scroller: part("transcript"),
  settled: part("settled"),
  live: part("live"),
  newest: part("newest"),
});
const dock = new Dock(document.querySelector(".dock"));
const banner = new ProblemBanner(part("problem"), part("start"));
const form = new SettingsForm(part("settings"));
const keyDialog = new KeyDialog(part("ask-key"));
new Hints(part("settled"), part("hint"), captions);

let run = null;
let fileName = "transcript";

function isRunning() {
  return run !== null && run.phase !== PHASES.OVER;
}

/** Start a run of what `makeSource` makes; it is made anew when the reader tries again. */
function start(makeSource) {
  if (isRunning()) return;
  banner.hide();
  const source = makeSource();
  const startedAt = performance.now();
  let heardS = 0;
  const current = new Run(source, {
    phase: (phase) => {
      dock.phase(phase, source);
      keepScreenOn(isRunning());
    },
    level: (level) => {
      dock.level(level);
      dock.time(current.timeline.position, heardS, source);
    },
    message: (message, lateness) => {
      heardS = Math.max(heardS, message.segments.at(-1)?.end_time ?? 0);
      transcript.take(message);
      show();
      const speed = source.isLive ? null : heardS / ((performance.now() - startedAt) / 1000);
      dock.figures({ ...lateness, speed, language: message.is_final ? message.language_code : null });
      dock.time(current.timeline.position, heardS, source);
    },
    problem: (problem) => banner.show(problem),
    over: (problem) => {
      transcript.end(current.timeline.position);
      dock.over(!problem);
      show();
      if (!problem) return dock.time(current.timeline.position, source.durationS, source);
      offer(problem, () => start(makeSource));
      showServer(part("server"));
    },
  });
  run = current;
  transcript.begin();
  captions.follow();
  current.start(form.settings, form.key);
}

function offer(problem, again) {
  if (problem.remedy === "key") keyDialog.ask(problem, again);
  banner.show(problem, () => (problem.remedy === "key" ? keyDialog.ask(problem, again) : again()));
}

function show() {
  part("welcome").hidden = !transcript.isEmpty;
  captions.show(transcript);
  dock.offer(transcript.settled.length > 0);
}

function transcribe(file) {
  if (isRunning()) return banner.show(ofBusy(file.name));
  fileName = file.name.replace(/\.[^.]+$/, "");
  start(() => new Recording(file, form.settings.pace));
}

function save(extension) {
  const { type, write } = FORMATS[extension];
  saveFile(`${fileName}.${extension}`, type, write(transcript.settled));
}

function showTheme() {
  part("theme").ariaPressed = String(theme.isDark());
  const { backgroundColor } = getComputedStyle(document.body);
  for (const meta of document.querySelectorAll('meta[name="theme-color"]')) meta.content = backgroundColor;
  dock.redraw();
}

part("start").addEventListener("click", () => {
  if (isRunning()) return run.stop();
  fileName = `transcript-${stamp(new Date())}`;
  start(() => new Microphone());
});
part("results").addEventListener("click", ({ target }) => target.dataset.format && save(target.dataset.format));
part("clear").addEventListener("click", () => {
  transcript.clear();
  show();
  part("start").focus();
});
part("open-settings").addEventListener("click", () => form.open());
part("theme").addEventListener("click", () => {
  theme.toggle();
  showTheme();
});
theme.system.addEventListener("change", showTheme);
takeFiles({ button: part("choose"), input: part("file"), target: part("drop") }, transcribe);
showTheme();
showServer(part("server"));
