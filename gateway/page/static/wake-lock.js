/**
 * Keeps a phone's screen on while it listens: one that goes dark may take the microphone with it.
 */

let wanted = false;
let lock = null;

/** Keep it on from now on, or no longer. Where the browser cannot, nothing happens. */
export async function keepScreenOn(isWanted) {
  if (isWanted === wanted) return;
  wanted = isWanted;
  if (wanted) await ask();
  else lock?.release();
}

async function ask() {
  try {
    lock = await navigator.wakeLock?.request("screen");
    if (!wanted) lock?.release();
  } catch {
    lock = null; // a low battery, or a page in the background
  }
}

// The lock is lost whenever the page is out of sight.
document.addEventListener("visibilitychange", () => {
  if (wanted && document.visibilityState === "visible") ask();
});
