"""The script that sorts a page's tables at a click on a heading.

Without scripts, headings are plain text and rows stay in the order that the page gives them.
"""

from __future__ import annotations

from markupsafe import Markup

SORTABLE = "sortable"  # the CSS class of such tables

# A first click puts the largest number or the first name on top, a second one turns the order
# round. Cells without a number, such as a dash, stay at the end. Equal rows keep their order.
SORTING = Markup("""<script>
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  const text = (row, i) => row.cells[i].textContent.trim();
  const number = (row, i) => parseFloat(text(row, i).replace(/,/g, ""));
  heads.forEach((head, i) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const numeric = head.classList.contains("number");
      const before = head.getAttribute("aria-sort");
      const down = before ? before === "ascending" : numeric;
      const sign = down ? -1 : 1;
      const rows = [...body.rows].map((row) => [row, numeric ? number(row, i) : text(row, i)]);
      rows.sort(([, a], [, b]) => {
        if (!numeric) return sign * a.localeCompare(b);
        if (isNaN(a) || isNaN(b)) return isNaN(a) - isNaN(b);
        return sign * (a - b);
      });
      body.append(...rows.map(([row]) => row));
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
    });
  });
}
</script>""")
