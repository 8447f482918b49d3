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

/** Show one element for each item, and keep those that are there: nothing flickers or loses its focus. */
export function keep(place, items, key, make) {
  const there = new Map([...place.children].map((it) => [it.dataset.key, it]));
  const wanted = items.map((item) => {
    const made = make(item, there.get(key(item)));
    made.dataset.key = key(item);
    return made;
  });
  if (wanted.length === place.children.length && wanted.every((it, at) => place.children[at] === it)) return;
  place.replaceChildren(...wanted);
}
