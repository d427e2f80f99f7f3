// Before anything is drawn: the theme chosen last time, else the system's.
try {
  const theme = localStorage.getItem("nasbench_eval.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Storage can be forbidden for local files; the system's theme is right then.
}
