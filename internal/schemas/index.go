package schemas

import (
	"bytes"
	"compress/gzip"
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"sync"
)

//go:generate go run ./gen

//go:embed data
var data embed.FS

// IndexFile is the name of the index in data/.
const IndexFile = "index.json"

// Index says what is embedded, and where it came from.
type Index struct {
	Kubernetes []Release `json:"kubernetes"` // sorted by version
	Systems    []System  `json:"systems"`
}

// Source is where an embedded file came from.
type Source struct {
	File    string `json:"file"`
	Module  string `json:"module"`
	Version string `json:"version"`
	Sum     string `json:"sum"`     // of the module, as in go.sum
	Licence string `json:"licence"` // SPDX identifier
	SHA256  string `json:"sha256"`  // of the file's content, decompressed
}

func (s Source) String() string { return s.Module + "@" + s.Version }

// Release is a release of Kubernetes.
type Release struct {
	Minor string `json:"minor"` // "1.36"
	Source
}

// System is a module with custom resource definitions.
type System struct {
	Source
	Definitions []Definition `json:"definitions"` // sorted by name
}

// Definition is a custom resource definition of a system.
type Definition struct {
	Name     string   `json:"name"` // "certificates.cert-manager.io"
	Group    string   `json:"group"`
	Kind     string   `json:"kind"`
	Versions []string `json:"versions"`
}

var readIndex = sync.OnceValue(func() Index {
	var i Index
	b, err := data.ReadFile(path.Join("data", IndexFile))
	if err == nil {
		err = json.Unmarshal(b, &i)
	}
	if err != nil {
		panic(fmt.Sprintf("the embedded schemas are damaged: %v", err)) // a test reads all of them
	}
	return i
})

// read returns the content of an embedded file, decompressed.
func read(name string) ([]byte, error) {
	b, err := data.ReadFile(path.Join("data", name))
	if err != nil {
		return nil, err
	}
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("embedded %s: %w", name, err)
	}
	return io.ReadAll(r)
}
