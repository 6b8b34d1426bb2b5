"use strict";

// The bytes of a picture are in the page once: its link takes them from the picture.
for (const link of document.querySelectorAll("a[data-shown]"))
  link.href = link.closest("article").querySelector("figure img").src;

// A figure twice as large, or as wide as the window; Escape closes it, as any dialog.
const dialog = document.querySelector("dialog");
const enlarged = dialog.querySelector("img");
for (const button of document.querySelectorAll("button.enlarge"))
  button.addEventListener("click", () => {
    const picture = button.querySelector("img");
    enlarged.src = picture.src;
    enlarged.alt = picture.alt;
    enlarged.style.width = `${2 * picture.offsetWidth}px`;
    dialog.showModal();
  });
dialog.addEventListener("click", (event) => {
  if (event.target !== dialog.querySelector("button")) dialog.close();
});

// The section being read is marked in the navigation.
const links = new Map([...document.querySelectorAll("nav li a")].map((link) => [link.hash.slice(1), link]));
const sections = [...document.querySelectorAll("main > section")];
function mark() {
  const ended = window.innerHeight + window.scrollY >= document.documentElement.scrollHeight - 2;
  const passed = sections.filter((section) => section.getBoundingClientRect().top < window.innerHeight / 3);
  const current = ended ? sections.at(-1) : passed.at(-1);
  for (const [id, link] of links)
    if (current && current.id === id) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
}
document.addEventListener("scroll", mark, { passive: true });
mark();

// A video shows its first frame once it is near the window; nothing is decoded before.
const watch = new IntersectionObserver(
  (entries) => {
    for (const { target } of entries.filter((entry) => entry.isIntersecting)) {
      target.preload = "metadata";
      watch.unobserve(target);
    }
  },
  { rootMargin: "300px" },
);
for (const video of document.querySelectorAll("video")) watch.observe(video);

// The verdict's table: filters and sorting.
const table = document.querySelector("#comparisons");
if (table) {
  const body = table.tBodies[0];
  const filters = document.querySelector(".filters");
  const artefact = filters.querySelector("select");
  let verdict = "";
  const filter = () => {
    let shown = 0;
    for (const row of body.rows) {
      row.hidden = Boolean(
        (verdict && row.dataset.verdict !== verdict) || (artefact.value && row.dataset.artefact !== artefact.value),
      );
      shown += !row.hidden;
    }
    filters.querySelector("output").textContent = `${shown} of ${body.rows.length}`;
    for (const button of filters.querySelectorAll("button"))
      button.setAttribute("aria-pressed", String(button.dataset.verdict === verdict));
  };
  for (const button of filters.querySelectorAll("button"))
    button.addEventListener("click", () => {
      verdict = button.dataset.verdict;
      filter();
    });
  artefact.addEventListener("change", filter);
  filter();

  const compare = new Intl.Collator("en", { numeric: true }).compare;
  const heads = [...table.tHead.rows[0].cells];
  for (const [column, head] of heads.entries())
    head.querySelector("button").addEventListener("click", () => {
      const order = head.ariaSort === "ascending" ? "descending" : "ascending";
      for (const each of heads) each.ariaSort = each === head ? order : "none";
      const sign = order === "ascending" ? 1 : -1;
      const value = (row) => row.cells[column].textContent.trim();
      const difference = head.classList.contains("number")
        ? (a, b) => Number(a) - Number(b)
        : (a, b) => compare(a, b);
      const rows = [...body.rows].sort((first, second) => {
        const [a, b] = [value(first), value(second)];
        return !a - !b || sign * difference(a, b); // empty cells last
      });
      body.append(...rows);
    });
}
