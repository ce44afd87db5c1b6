// Package hosts tests what the blueprint puts on machines outside of the cluster: each
// script, configuration and module of blueprint/hosts against the program that reads it,
// in a place that can be thrown away.
package hosts
