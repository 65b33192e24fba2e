// Conveniences only: every page works without this file.

// Close an open menu on Escape or on a click elsewhere.
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.details-menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details.details-menu[open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

// The browser may keep a page as it is for its back button. What was typed as
// a secret does not stay in it.
addEventListener("pagehide", () => {
  for (const field of document.querySelectorAll("[name=secret]")) field.value = "";
});

// Filter the secrets while typing. With a query in the address the page holds
// only a part of them, and the server has to answer.
const filter = document.querySelector("form[data-filter]");
if (filter && !new URLSearchParams(location.search).get("q")) {
  const input = filter.querySelector("input[type=search]");
  const count = filter.querySelector("[data-filter-count]");
  const groups = [...document.querySelectorAll("[data-filter-group]")].map((element) => ({
    element,
    rows: [...element.querySelectorAll("tbody > tr, li")].map((row) => ({ row, text: (row.textContent + " " + (row.dataset.description ?? "")).toLowerCase() })),
  }));
  const total = groups.reduce((sum, group) => sum + group.rows.length, 0);
  filter.querySelector("button").hidden = true;
  filter.addEventListener("submit", (event) => event.preventDefault());
  input.addEventListener("input", () => {
    const query = input.value.trim().toLowerCase();
    let shown = 0;
    for (const group of groups) {
      let found = 0;
      for (const { row, text } of group.rows) {
        row.hidden = !text.includes(query);
        if (!row.hidden) found++;
      }
      group.element.hidden = found === 0;
      shown += found;
    }
    count.textContent = query ? `${shown} of ${total} match` : "";
  });
}

// A button that copies a token.
for (const input of document.querySelectorAll("input.copyable")) {
  if (!navigator.clipboard) break;
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(input.value);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  });
  input.after(button);
}
