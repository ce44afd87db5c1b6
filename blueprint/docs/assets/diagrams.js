// Draws the diagrams of a page (pre.diagram), in the colours of the page, and anew when the
// reader switches them. Without Mermaid the text stays.
(function () {
  if (typeof mermaid === "undefined") {
    return;
  }
  const sources = Array.from(document.querySelectorAll("pre.diagram"), function (pre) {
    const place = document.createElement("div");
    place.className = "diagram";
    pre.replaceWith(place);
    return { place: place, text: pre.textContent };
  });
  let run = 0;
  async function draw() {
    const dark = document.body.getAttribute("data-md-color-scheme") === "slate";
    // "strict": text of a diagram is text, never HTML or script.
    mermaid.initialize({ startOnLoad: false, securityLevel: "strict", theme: dark ? "dark" : "neutral" });
    run++;
    for (const [i, s] of sources.entries()) {
      const drawing = await mermaid.render("diagram-" + run + "-" + i, s.text);
      s.place.innerHTML = drawing.svg;
    }
  }
  draw();
  new MutationObserver(draw).observe(document.body, { attributeFilter: ["data-md-color-scheme"] });
})();
