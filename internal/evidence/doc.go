// Package evidence keeps what was proven, when, and with which result: that the mirror was
// synchronised, that a backup was restored, that a release came to an end. Each claim of the
// homelab has a subject here, and its age is a metric and a line of `lumacore status`: what
// has not succeeded lately is not true any more.
//
// A store keeps the newest records of each subject and the last that passed, as files (in a
// pipeline, on a laptop) or as ConfigMaps of a cluster. Facts that an outside system already
// has (commits, snapshots, objects of a bucket) are read there, and not copied here.
package evidence
