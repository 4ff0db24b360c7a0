// Elements are made here and only here: text goes in as text nodes, so nothing that was written elsewhere is markup.

export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) node.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, String(value));
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

const MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
  "November", "December"];

// In the zone of the source, as the server writes it: parsing it as a Date would move it to the reader's zone.
export function readableDate(value) {
  const match = /^(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}:\d{2}))?/.exec(value ?? "");
  if (!match || !MONTHS[match[2] - 1]) return value ?? "";
  const day = `${Number(match[3])} ${MONTHS[match[2] - 1]} ${match[1]}`;
  return match[4] ? `${day}, ${match[4]}` : day;
}

export function plural(count, noun) {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}
