// Package diff compares what two revisions of a repository render to, object by
// object, and says what owners fear of the difference.
//
// [Compare] goes these steps:
//
//  1. objects of each cluster are matched by group, kind, namespace and name; a
//     ConfigMap or Secret whose name ends in a hash of its content is matched by the
//     rest of its name, and references to the old hash become ones to the new;
//  2. objects without a counterpart that belong to something which did not build on
//     the other side are not compared, and said to be so;
//  3. the fields of the others are compared, lists by the keys that Kubernetes merges
//     them by, texts line by line; what tools write on every release (chart labels,
//     checksums) is folded;
//  4. each difference gets the marks of the table [Marks] that fit;
//  5. differences that are the same on several clusters become one.
//
// Values of Secrets, and texts elsewhere in which one of them stands, are never part
// of the result: only that they changed. Objects are only read. The same two results
// give the same report.
package diff
