// Package helm templates HelmReleases as helm-controller does: the same chart, the
// same values in the same order, the same names, post-renderers and labels, as at
// the first installation of a release.
//
// [Render] is all of it. It uses Helm's own template engine and values code, and
// Flux's own code for valuesFrom; what lies between them follows helm-controller
// (https://github.com/fluxcd/helm-controller, version 1.6) and Helm's install
// action. A test holds the result against that action.
//
// Differences from a cluster, all of them so that the same repository gives the
// same bytes on every machine:
//
//   - lookup finds nothing, as in `helm template`;
//   - the time is the first of January 2026, in UTC: now, ago, date, durationRound and the
//     functions like them;
//   - what is random is fixed: randAlphaNum, randAlpha, randAscii, randNumeric,
//     randBytes, randInt, shuffle, uuidv4, bcrypt, htpasswd, encryptAES, decryptAES, genCA,
//     genSelfSignedCert, genSignedCert, genPrivateKey and their variants. The
//     certificates are real ones, of keys that everybody can compute;
//   - keys and values return a dictionary's keys and values in order;
//   - until, untilStep, seq, repeat and the rand functions refuse more than a
//     million items;
//   - templates may be some 400 deep in each other, by include, template and tpl
//     together.
//
// Templates are somebody else's programs. A release is given up after a minute, and
// when the process holds 1 GiB more than before it; its functions may make 256 MiB
// of text. For that, guards are put into the text of every template, at its
// beginning and in every loop, also into what tpl takes: Helm's engine has no other
// way to stop one. What remains: memory is measured after garbage collections, so
// twice as much may be in use; it is that of the whole process, so a neighbour can
// be given up instead; and between two guards nothing stops, so a template without a
// loop that writes one long text thousands of times, or one call of a function of
// Helm's that is not bounded here (toYaml, join, merge, regular expressions), can
// still take more than there is. Who renders charts that nobody looked at needs a
// limit of the operating system around the process.
//
// The build metadata that Flux appends to a chart's version is reproduced for
// OCIRepository sources (the artifact's digest); the generation of a HelmChart with
// valuesFiles, and the commit with reconcileStrategy Revision, are not known before
// they exist.
package helm
