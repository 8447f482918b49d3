// The few pieces that every drawing of the page is made of.

const NS = "http://www.w3.org/2000/svg";

export function make(name, attributes) {
  const element = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

export function label(words, x, y, anchor) {
  const element = make("text", { x, y, "text-anchor": anchor });
  element.textContent = words;
  return element;
}
