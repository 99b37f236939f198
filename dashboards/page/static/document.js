// Puts data into the document, as text.
let figureNodes = null;

export function setFigures(figures) {
  figureNodes ??= [...document.querySelectorAll("[data-figure]")];
  for (const node of figureNodes) {
    const figure = figures[node.dataset.figure];
    if (!figure) continue;
    const [value, text] = figure;
    if (node.textContent !== text) node.textContent = text;
    if (node.tagName === "DATA") {
      if (value === null) node.removeAttribute("value");
      else if (node.getAttribute("value") !== String(value)) node.setAttribute("value", value);
    }
  }
}

// Boxes by status; what goes down or comes back is said aloud.
export function setBoxes(boxes, alert) {
  for (const box of document.querySelectorAll("[data-box]")) {
    const status = boxes[box.dataset.box] ?? "absent";
    if (box.dataset.status === status) continue;
    const before = box.dataset.status;
    box.dataset.status = status;
    const title = box.querySelector(".title").textContent;
    if (status === "down" || status === "silent") alert.textContent = `${title} is down`;
    else if (status === "up" && (before === "down" || before === "silent")) alert.textContent = `${title} is back`;
  }
}

// Rows of a table; cells are texts, or [text] for a number. Only what differs is touched.
export function fillTable(table, items, nothing, cellsOf) {
  const body = table.tBodies[0];
  const columns = table.tHead.rows[0]?.cells.length ?? 1;
  if (items.length === 0) {
    if (body.dataset.empty === "yes") return;
    body.replaceChildren();
    const cell = body.insertRow().insertCell();
    cell.colSpan = columns;
    cell.className = "empty";
    cell.textContent = nothing;
    body.dataset.empty = "yes";
    return;
  }
  if (body.dataset.empty) { body.replaceChildren(); delete body.dataset.empty; }
  items.forEach((item, index) => {
    const cells = cellsOf(item);
    const row = body.rows[index] ?? body.insertRow();
    cells.forEach((value, column) => {
      const cell = row.cells[column] ?? row.insertCell();
      const number = Array.isArray(value);
      const text = String(number ? value[0] : value);
      if (number && cell.className !== "number") cell.className = "number";
      if (cell.textContent !== text) cell.textContent = text;
    });
  });
  while (body.rows.length > items.length) body.deleteRow(-1);
}
