// Parses Mermaid diagrams with Mermaid itself. Reads [{"at": "file:line", "text": "…"}] from
// stdin and prints a line for each diagram that is none. The folder with the packages is the
// argument.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(pathToFileURL(process.argv[2] + "/").href);
const { JSDOM } = require("jsdom");

// Mermaid cleans labels with a library that wants a browser's DOM.
const { window } = new JSDOM("<!doctype html><body></body>");
globalThis.window = window;
globalThis.document = window.document;

const { default: mermaid } = await import(pathToFileURL(process.argv[2] + "/mermaid/dist/mermaid.core.mjs").href);
mermaid.initialize({ startOnLoad: false, securityLevel: "strict" });
for (const diagram of JSON.parse(readFileSync(0, "utf8"))) {
  try {
    await mermaid.parse(diagram.text);
  } catch (e) {
    console.log(diagram.at + ": Mermaid cannot read the diagram: " + e.message.replaceAll("\n", " "));
  }
}
