// Package site has no code: its tests build the documentation site of an owner's repository
// as its pipeline does, and hold its Markdown and diagrams against the programs that read
// them. They need mkdocs and packages of npm, which `make test-site` (hack/site.sh) installs.
package site
