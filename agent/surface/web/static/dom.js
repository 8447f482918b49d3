// Small things that every list needs; what comes in is set as text, never as markup.

export function element(name, className = "", text = "") {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}

export function cell(row, text, small) {
  const made = row.insertCell();
  made.textContent = text;
  if (small) made.append(element("small", "", small));
  return made;
}

export function moment(iso) {
  const at = new Date(iso);
  const today = at.toDateString() === new Date().toDateString();
  return today ? at.toLocaleTimeString() : at.toLocaleString();
}

export function day(iso) {
  return new Date(iso).toLocaleDateString(undefined, { day: "numeric", month: "short", year: "numeric" });
}
