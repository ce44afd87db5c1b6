// Package report is how every verb of lumacore talks: results on stdout in the
// formats that were asked for, progress and errors on stderr.
//
// The rules (README, section "How lumacore talks"):
//
//   - stdout carries the result and nothing else, stderr everything else, so
//     that `lumacore … -o json | jq` always works;
//   - a verb returns a [Document]; [Outputs] writes it as text, JSON, or both at
//     once, to stdout or to files;
//   - an error says what, where, why, and what to do next ([Failure]); its kind
//     decides the exit code ([ExitCode]);
//   - work above two seconds shows progress ([Streams.Steps]): live lines on a
//     terminal, plain lines otherwise; colour only on a terminal and never when
//     NO_COLOR is set (https://no-color.org).
//
// The package is a leaf: it knows nothing of what is reported.
package report
