// Before the first paint: the theme that the reader chose here, else the system's.
(() => {
  const root = document.documentElement;
  const kept = () => { try { return localStorage.getItem("theme"); } catch { return null; } };
  if (kept()) root.dataset.theme = kept();
  addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const themes = ["system", "light", "dark"];
    const show = () => {
      const name = root.dataset.theme ?? "system";
      button.setAttribute("aria-label", `Theme: ${name}`);
      button.title = `Theme: ${name}`;
      document.getElementById("theme-icon").setAttribute("href", `/static/icons.svg#${name}`);
    };
    button.addEventListener("click", () => {
      const next = themes[(themes.indexOf(root.dataset.theme ?? "system") + 1) % 3];
      if (next === "system") delete root.dataset.theme;
      else root.dataset.theme = next;
      try { localStorage.setItem("theme", root.dataset.theme ?? ""); } catch { /* not kept, then */ }
      show();
    });
    show();
    button.hidden = false;
  });
})();
