/** Whether a stream would be served, as `/readyz` says, in a few words. */

/** Look, and show it in `element`. */
export async function showServer(element) {
  const { is, text } = await look();
  element.dataset.is = is;
  element.textContent = text;
}

async function look() {
  try {
    const answer = await fetch(new URL("readyz", document.baseURI));
    const { ready, reason } = await answer.json();
    return ready ? { is: "ready", text: "Server ready" } : { is: "away", text: `Server not ready: ${reason}` };
  } catch {
    return { is: "away", text: "Server cannot be reached" };
  }
}
