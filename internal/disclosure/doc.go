// Package disclosure finds what must not become public: secrets, with the rules of
// Gitleaks, and what tells strangers about a homelab and its owner — private addresses,
// host names, e-mail addresses, names, identifiers of accounts — in the text of a file,
// in its name, and in what is hidden in it: encodings, archives, metadata.
//
// It fails closed. Content of a kind that it cannot look into is an error and no pass,
// and so is content that takes too long, nests too deep or unpacks to too much.
//
// A finding never has what was found: it has the rule, the place, how it was hidden, and
// a hint of how it begins and how long it is.
package disclosure
