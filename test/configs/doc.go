// Package configs holds the configuration that the blueprint gives to other programs
// against those programs' own code: alert rules and their unit tests against promtool,
// Alertmanager's configuration against its parser, its routes and its templates, Alloy's
// against its language. Loki is too large a module to compile for this and Falco is none:
// of their configuration, known traps and the form are looked at. Tests only; make
// test-configs runs them.
//
// What is checked is what a cluster would get: the tests render the blueprint with
// `lumacore render`, so that variables are substituted and patches applied. Each kind of
// mistake that a check is there for has a file in testdata/invalid, whose first line says
// what must be found.
package configs
