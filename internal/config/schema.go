package config

import _ "embed"

// Schema is the JSON Schema of lumacore.yaml, for editors. It is written by hand and
// held against the reader by a test; the copies in docs/reference and in the blueprint
// are made from it. Draft 7 is what editors know best.
//
//go:embed schema.json
var Schema []byte
