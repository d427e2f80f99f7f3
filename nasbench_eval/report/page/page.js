// Tables that can be sorted and filtered, the theme, copying. The page is readable without any of it.

function sortTable(table, column, descending) {
  const body = table.tBodies[0];
  const number = table.tHead.rows[0].cells[column].dataset.kind === "number";
  const key = (row) => {
    const value = row.cells[column].dataset.value;
    if (!number) return value ?? row.cells[column].textContent.trim().toLowerCase();
    return value === undefined || value === "" ? NaN : Number(value);
  };
  const rows = Array.from(body.rows, (row) => [key(row), row]);
  rows.sort(([a], [b]) => {
    if (number && (isNaN(a) || isNaN(b))) return isNaN(a) - isNaN(b); // what is not known comes last
    const order = a < b ? -1 : a > b ? 1 : 0;
    return descending ? -order : order;
  });
  body.append(...rows.map(([, row]) => row));
  for (const [position, head] of Array.from(table.tHead.rows[0].cells).entries()) {
    if (position === column) head.setAttribute("aria-sort", descending ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  }
}

for (const table of document.querySelectorAll("table.sortable")) {
  for (const [column, head] of Array.from(table.tHead.rows[0].cells).entries()) {
    head.querySelector("button")?.addEventListener("click", () => {
      const now = head.getAttribute("aria-sort");
      // Numbers are asked for from the highest, names from A.
      const descending = now ? now === "ascending" : head.dataset.kind === "number";
      sortTable(table, column, descending);
    });
  }
}

for (const form of document.querySelectorAll("form.filter")) {
  // Not form.dataset: a control of that name hides it.
  const table = document.getElementById(form.getAttribute("data-table"));
  const apply = () => {
    const wanted = new FormData(form);
    const text = wanted.get("proxy").trim().toLowerCase();
    for (const key of ["dataset", "split"]) table.classList.toggle(`one-${key}`, Boolean(wanted.get(key)));
    let shown = 0;
    for (const row of table.tBodies[0].rows) {
      const fits = ["dataset", "split"].every((key) => !wanted.get(key) || row.dataset[key] === wanted.get(key));
      row.hidden = !(fits && row.dataset.proxy.toLowerCase().includes(text));
      shown += !row.hidden;
    }
    form.querySelector("output").value = `${shown} of ${table.tBodies[0].rows.length} rows`;
  };
  form.hidden = false;
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  apply();
}

const themeButton = document.getElementById("theme");
const systemDark = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (document.documentElement.dataset.theme ?? (systemDark.matches ? "dark" : "light")) === "dark";
const themeChanged = () => {
  themeButton.setAttribute("aria-pressed", isDark());
  document.dispatchEvent(new Event("themechange"));
};
themeButton.hidden = false;
themeButton.addEventListener("click", () => {
  const theme = isDark() ? "light" : "dark";
  document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem("nasbench_eval.theme", theme);
  } catch {
    // Not remembered then.
  }
  themeChanged();
});
systemDark.addEventListener("change", themeChanged);
themeChanged();

for (const button of document.querySelectorAll("button.copy")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const source = document.getElementById(button.dataset.source);
    let done = "Copied";
    try {
      await navigator.clipboard.writeText(source.textContent);
    } catch {
      // Some browsers keep the clipboard from local files: mark the text, for the reader's own shortcut.
      getSelection().selectAllChildren(source);
      done = "Marked: copy it now";
    }
    button.dataset.label ??= button.textContent;
    button.textContent = done;
    setTimeout(() => { button.textContent = button.dataset.label; }, 1500);
  });
}
