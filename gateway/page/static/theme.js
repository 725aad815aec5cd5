/**
 * Dark or light: what the system prefers, until the reader chooses. A classic script, so that it
 * has run before the page is painted; the button that calls `toggle` is made later.
 */

(() => {
  const STORED_AS = "theme";
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");

  function isDark() {
    return (root.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";
  }

  function stored() {
    try {
      return localStorage.getItem(STORED_AS);
    } catch {
      return null; // the browser keeps nothing for this page
    }
  }

  function toggle() {
    root.dataset.theme = isDark() ? "light" : "dark";
    try {
      localStorage.setItem(STORED_AS, root.dataset.theme);
    } catch {
      // it holds until the page is left
    }
  }

  if (["dark", "light"].includes(stored())) root.dataset.theme = stored();
  window.theme = { isDark, toggle, system };
})();
