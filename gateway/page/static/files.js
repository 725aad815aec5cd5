/**
 * Files in and out: chosen, dropped, saved.
 */

/** Call `onFile(file)` for a file that is chosen with `button` or dropped anywhere. */
export function takeFiles({ button, input, target }, onFile) {
  button.addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    if (input.files.length) onFile(input.files[0]);
    input.value = ""; // so that the same file can be chosen again
  });
  const show = (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    target.hidden = false;
  };
  document.addEventListener("dragenter", show);
  document.addEventListener("dragover", show);
  document.addEventListener("dragleave", ({ relatedTarget }) => {
    if (!relatedTarget) target.hidden = true; // it has left the window
  });
  document.addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    target.hidden = true;
    onFile(event.dataTransfer.files[0]);
  });
}

function hasFiles(event) {
  return event.dataTransfer.types.includes("Files");
}

/** Have the browser save a text. */
export function saveFile(name, type, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: `${type};charset=utf-8` }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // it may not have been read yet
}
