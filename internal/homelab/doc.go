// Package homelab makes an owner's repository out of the blueprint and the owner's
// answers: a Git repository whose branch lumacore/blueprint has the blueprint as this
// lumacore ships it, and whose main branch has the answers in it.
//
// It asks for no secret, changes nothing that is there already, and leaves either the
// whole repository or nothing.
package homelab
