// Package mirror publishes a part of a private repository as a public one, and proves
// that the public one is clean.
//
// Each sync is one commit with a fresh tree: the files of a revision that the rules of
// lumacore.yaml let through, with what is declared to be replaced, searched for whatever
// must not become public. Its message has the revision and nothing that a person wrote;
// its author is the declared public identity. Nothing else of the private repository —
// no history, no message, no object of Git — comes near the mirror.
//
// It fails closed: whatever cannot be decided, read, searched or built stops the sync,
// and then nothing is written. History on the mirror is never rewritten but by Rewrite,
// which a person confirms.
//
// A commit of the mirror can be held against its source for ever: the same revision, with
// the rules that it has in its own lumacore.yaml, gives the same tree.
package mirror
