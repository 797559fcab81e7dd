"use strict";
for (const form of document.querySelectorAll(".choice")) form.hidden = false;

function show(anchor) {
  const target = anchor && document.getElementById(anchor);
  if (!target || target.tagName !== "DETAILS") return;
  target.hidden = false;
  target.open = true;
  target.scrollIntoView({ block: "start" });
}
addEventListener("hashchange", () => show(location.hash.slice(1)));
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href^='#']");
  if (link) show(link.getAttribute("href").slice(1));
});
show(location.hash.slice(1));

const engine = document.getElementById("engine"), total = document.getElementById("total");
function colour() {
  const order = "none skipped e0 e1 e2 unjudged e3 refused e4 far failed wrong hung crashed".split(" ");
  const chosen = Number(engine.value);
  for (const box of document.querySelectorAll(".box")) {
    const list = (total.checked ? box.dataset.total : box.dataset.local).split(" ");
    const worst = list.reduce((a, b) => (order.indexOf(b) > order.indexOf(a) ? b : a));
    const name = chosen < 0 ? (total.checked ? worst : box.dataset.worst) : list[chosen];
    box.setAttribute("class", "box " + name);
  }
}
if (engine) {
  engine.addEventListener("change", colour);
  total.addEventListener("change", colour);
}

const only = document.getElementById("only"), find = document.getElementById("find");
function filter() {
  const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const node of document.querySelectorAll(".node")) {
    const hit = words.every((word) => node.dataset.text.includes(word));
    node.hidden = !hit || (only.checked && node.dataset.bad !== "1");
  }
}
only.addEventListener("change", filter);
find.addEventListener("input", filter);
