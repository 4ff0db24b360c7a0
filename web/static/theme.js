// Before the first paint: the theme that the reader chose here, else the system's.
{
  const root = document.documentElement;
  const themes = ["system", "light", "dark"];
  let theme = "system";
  try { theme = localStorage.getItem("theme") ?? theme; } catch { /* a browser that keeps nothing */ }
  const show = () => {
    const button = document.getElementById("theme");
    root.dataset.theme = theme;
    if (!button) return;
    button.title = `Theme: ${theme}`;
    button.setAttribute("aria-label", button.title);
    button.querySelector("use").setAttribute("href", `/static/icons.svg#${theme}`);
    button.hidden = false;
  };
  show();
  addEventListener("DOMContentLoaded", () => {
    show();
    document.getElementById("theme").addEventListener("click", () => {
      theme = themes[(themes.indexOf(theme) + 1) % 3];
      try { localStorage.setItem("theme", theme); } catch { /* not kept, then */ }
      show();
    });
  });
}
