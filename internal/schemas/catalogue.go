package schemas

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
)

// Found is a custom resource definition of the catalogue.
type Found struct {
	Definition
	Source Source
}

type groupKind struct{ group, kind string }

var byKind = sync.OnceValue(func() map[groupKind]Found {
	out := map[groupKind]Found{}
	for _, s := range readIndex().Systems {
		for _, d := range s.Definitions {
			if k := (groupKind{d.Group, d.Kind}); out[k].Name == "" {
				out[k] = Found{Definition: d, Source: s.Source}
			}
		}
	}
	return out
})

// Lookup finds the definition of a kind in the catalogue.
func Lookup(group, kind string) (Found, bool) {
	f, ok := byKind()[groupKind{group, kind}]
	return f, ok
}

// Systems returns what the catalogue is made of.
func Systems() []System { return slices.Clone(readIndex().Systems) }

var files sync.Map // name -> func() (map[string]json.RawMessage, error)

// JSON returns the definition: a CustomResourceDefinition of
// apiextensions.k8s.io/v1, without descriptions.
func (f Found) JSON() ([]byte, error) {
	load, _ := files.LoadOrStore(f.Source.File, sync.OnceValues(func() (map[string]json.RawMessage, error) {
		b, err := read(f.Source.File)
		if err != nil {
			return nil, err
		}
		var m map[string]json.RawMessage
		err = json.Unmarshal(b, &m)
		return m, err
	}))
	m, err := load.(func() (map[string]json.RawMessage, error))()
	if err != nil {
		return nil, err
	}
	if m[f.Name] == nil {
		return nil, fmt.Errorf("embedded %s has no %s", f.Source.File, f.Name)
	}
	return m[f.Name], nil
}
