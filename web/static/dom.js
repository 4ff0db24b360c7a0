// What the other scripts share. Text goes in as text nodes; what the server rendered comes in as a document of its own,
// in which nothing runs, and its elements are moved over: no script ever makes markup of a string.

export const $ = (id) => document.getElementById(id);

export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value === true ? "" : value);
  node.append(...children.flat());
  return node;
}

export const plural = (count, noun) => `${Number(count).toLocaleString("en")} ${noun}${Number(count) === 1 ? "" : "s"}`;

// The page at a path of this server, whatever its status; rejects when the server cannot be reached.
export function load(path) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.responseType = "document";
    request.open("GET", path);
    request.setRequestHeader("Accept", "text/html");
    request.onload = () => resolve(request.response);
    request.onerror = reject;
    request.send();
  });
}
