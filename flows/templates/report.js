"use strict";
(() => {
  // Colours are the page's own variables: a plot follows the reader's theme, and the printer's, without being drawn again.
  const colour = n => `var(--c${n})`;
  const words = { labelColor: "var(--ink)", titleColor: "var(--ink)" };
  const config = {
    background: "transparent", font: "system-ui, sans-serif", view: { stroke: "var(--line)" }, title: { color: "var(--ink)" }, text: { color: "var(--ink)", fill: "var(--ink)" },
    axis: { ...words, gridColor: "var(--line)", domainColor: "var(--soft)", tickColor: "var(--soft)" }, legend: { ...words, symbolSize: 90 },
    range: { category: [1, 2, 3, 4, 5, 6, 7, 8].map(colour) }, rule: { color: "var(--soft)" }, point: { size: 36 },
  };
  const views = {}, details = {};
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const items = id => all(`[data-plot="${id}"] [data-row]`);

  /** Marks a row in the plot and in its table, and shows its details; -1 marks none. */
  function pick(id, row, scroll) {
    all(`[data-plot="${id}"] .picked`).forEach(e => { e.classList.remove("picked"); e.removeAttribute("aria-selected"); });
    const found = items(id).find(e => +e.dataset.row === row);
    if (found) {
      found.classList.add("picked"); found.setAttribute("aria-selected", "true");
      items(id).forEach(e => { e.tabIndex = -1; }); found.tabIndex = 0;
      if (scroll) { const box = found.closest("details"); if (box) box.open = true; found.scrollIntoView({ block: "nearest", inline: "nearest" }); }
    }
    for (const [name, view] of Object.entries(views)) if (name === id || name.startsWith(`${id}--`)) view.signal("picked", row).run();
    const group = details[id];
    if (group && group.rows[row]) show(group, row);
  }

  /** The details of a point: what it is, what was found, and what is wrong with it. */
  function show(group, row) {
    const box = document.getElementById("detail"), point = group.rows[row];
    box.replaceChildren();
    const title = document.createElement("h3"); title.textContent = point.title; box.append(title);
    const table = document.createElement("table");
    for (const [name, value] of Object.entries(point.values)) {
      const line = table.insertRow(), head = document.createElement("th"); head.scope = "row"; head.textContent = name;
      line.append(head); line.insertCell().textContent = value;
    }
    box.append(table); box.hidden = false;
    history.replaceState(null, "", `#point-${row}`);
  }

  /** A table whose items are plot points: one stop of the tab key, arrows within it, Enter chooses. */
  function link(table) {
    const id = table.dataset.plot, own = () => all("[data-row]", table);
    if (own().length) own()[0].tabIndex = 0;
    const wide = table.querySelector("td[data-row]") ? table.querySelector("tbody tr").querySelectorAll("td").length : 1;
    table.addEventListener("click", event => { const item = event.target.closest("[data-row]"); if (item) pick(id, +item.dataset.row, false); });
    table.addEventListener("keydown", event => {
      const item = event.target.closest("[data-row]"); if (!item) return;
      const list = own(), at = list.indexOf(item);
      const to = { ArrowDown: at + wide, ArrowUp: at - wide, ArrowRight: wide > 1 ? at + 1 : at, ArrowLeft: wide > 1 ? at - 1 : at, Home: 0, End: list.length - 1 }[event.key];
      if (event.key === "Enter" || event.key === " ") { pick(id, +item.dataset.row, false); event.preventDefault(); }
      else if (event.key === "Escape") pick(id, -1, false);
      else if (to !== undefined && list[to]) { list.forEach(e => { e.tabIndex = -1; }); list[to].tabIndex = 0; list[to].focus(); event.preventDefault(); }
    });
  }

  /** Heads of columns as buttons that sort. */
  function sortable(table) {
    all("thead th", table).forEach((head, column) => {
      const button = document.createElement("button"); button.type = "button"; button.append(...head.childNodes); head.append(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        all("thead th", table).forEach(e => e.removeAttribute("aria-sort")); head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const value = line => { const cell = line.cells[column]; return cell.dataset.v !== undefined ? +cell.dataset.v : cell.textContent; };
        const body = table.tBodies[0], lines = [...body.rows].map(line => [value(line), line]);
        const number = n => typeof n === "number";
        const order = (a, b) => number(a) && number(b) ? a - b : number(a) ? -1 : number(b) ? 1 : a.localeCompare(b, "en", { numeric: true });
        lines.sort(([a], [b]) => (down ? -1 : 1) * order(a, b)); body.append(...lines.map(([, line]) => line));
      });
    });
  }

  async function draw(source) {
    const id = source.dataset.spec, box = document.getElementById(`${id}-chart`);
    const spec = JSON.parse(source.textContent);
    const { view } = await vegaEmbed(box, spec, { mode: "vega-lite", renderer: "svg", actions: false, ast: true, config, tooltip: { theme: "custom" } });
    views[id] = view;
    const row = item => item && item.datum && (item.datum.row ?? (item.datum.datum && item.datum.datum.row));
    view.addEventListener("click", (_, item) => { const found = row(item); if (found !== undefined && found !== null) pick(id.split("--")[0], found, true); });
  }

  all("h2[id]").forEach(head => { const a = document.createElement("a"); a.href = `#${head.id}`; a.textContent = head.textContent; document.querySelector("nav").append(a); });
  all("script[data-detail]").forEach(source => { details[source.dataset.detail] = { rows: JSON.parse(source.textContent) }; });
  all("table.sortable").forEach(sortable);
  all("table[data-plot]").forEach(link);
  addEventListener("beforeprint", () => all("details").forEach(e => { if (!e.open) { e.open = true; e.dataset.closed = ""; } }));
  addEventListener("afterprint", () => all("details[data-closed]").forEach(e => { e.open = false; delete e.dataset.closed; }));
  (async () => {
    for (const source of all("script[data-spec]")) { await draw(source); await new Promise(done => setTimeout(done)); }
    const asked = location.hash.match(/^#point-(\d+)$/), first = Object.keys(details)[0];
    if (asked && first) pick(first, +asked[1], true);
    document.documentElement.dataset.drawn = Object.keys(views).length;
  })().catch(error => { document.documentElement.dataset.failed = String(error); console.error(error); });
})();
