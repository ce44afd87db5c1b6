// Package leaks finds secrets in files and in the history of a Git repository, with the
// rules of Gitleaks (https://github.com/gitleaks/gitleaks) as a library, and reads
// .gitallowed, which says which findings are none.
//
// It finds what the program gitleaks finds, and is faster: a text is given to Gitleaks
// only if it can match a rule, which a cheap test decides for all rules at once; the
// history is split over processors; and commits that were scanned once are not scanned
// again. Three things are different on purpose. Comments (gitleaks:allow) and the
// allowlists of a repository's .gitleaks.toml have no effect, for they have no reason,
// owner and end. Values that SOPS or Sealed Secrets encrypted and digests are marked as
// what they are. And what a repository's .gitattributes says about how to show
// differences does not count, which could hide a file.
//
// A secret never leaves the package: a [Finding] has a hint of what it looks like, and
// a slow hash to tell secrets apart.
package leaks
