package config

import (
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/util/validation"

	"lumacore.dev/lumacore/internal/report"
)

// SecretRegisterFile is the name of the register of secrets, in the root of the
// repository.
const SecretRegisterFile = "secrets.register.yaml"

// SecretRegisterKind is the kind that the file names in its head.
const SecretRegisterKind = "SecretRegister"

// Bounds of the register.
const (
	MaxSecrets = 1000  // entries of a list
	MaxAge     = 3650  // days
	maxPlaces  = 10000 // of all items
)

// SecretRegister lists the secrets of a repository: what they open, how they are made,
// where they go, who answers for them. It holds none.
type SecretRegister struct {
	Items     []SecretItem      // of the vault, in the order of the file
	Bootstrap []BootstrapSecret // that must be there before the vault can bring any
}

// SecretItem is an item of the vault.
type SecretItem struct {
	Item    string   // its title
	Purpose string   // what it opens
	Fields  []string // labels of its fields, each of which becomes a key of the Secret
	Make    string   // where and how a new one is made
	Places  []Place  // of the OnePasswordItems that take it
	SecretCare

	report.Location // of the entry
}

// BootstrapSecret is a Secret that a person makes in the cluster.
type BootstrapSecret struct {
	Secret  Place
	Purpose string   // what it opens
	Fields  []string // its keys
	Make    string   // where and how a new one is made
	SecretCare

	report.Location // of the entry
}

// SecretCare says who changes a secret, and when.
type SecretCare struct {
	Owner    string // who rotates it
	Rotate   int    // days after which it is old; 0: never
	Rotation string // what to do besides putting in the new value; or why it never changes
}

// Place is the namespace and the name of an object.
type Place struct {
	Namespace string
	Name      string

	report.Location // in the register
}

func (p Place) String() string { return p.Namespace + "/" + p.Name }

// LoadSecretRegister reads the register from the root of a tree; without one it returns
// nil. What is wrong with it is an [*Error] with all mistakes at once; the entries that
// could be read are returned beside it, and nil where nothing could.
func LoadSecretRegister(t Tree) (*SecretRegister, error) {
	if !t.IsFile(SecretRegisterFile) {
		return nil, nil
	}
	data, err := t.ReadFile(SecretRegisterFile)
	if err != nil {
		return nil, &Error{Mistakes: []Mistake{{report.Location{File: SecretRegisterFile}, "cannot be read: " + err.Error()}}}
	}
	return ParseSecretRegister(data)
}

// ParseSecretRegister is [LoadSecretRegister] of the content of the file.
func ParseSecretRegister(data []byte) (*SecretRegister, error) {
	r := &registerReader{reader: reader{file: SecretRegisterFile}, items: map[string]int{}, places: map[string]int{}}
	out := r.register(data)
	return out, r.err()
}

type registerReader struct {
	reader
	items  map[string]int // titles to lines
	places map[string]int // places to lines
}

func (r *registerReader) register(data []byte) *SecretRegister {
	root := r.document(data)
	if root == nil {
		if len(r.mistakes) == 0 {
			r.mistake(1, "the file is empty; begin it with apiVersion: %s and kind: %s, or delete it", APIVersion, SecretRegisterKind)
		}
		return nil
	}
	out := &SecretRegister{}
	if !r.head(root, SecretRegisterKind, fields{
		"items":     r.atMost(MaxSecrets, func(n *yaml.Node, at string) { r.item(out, n, at) }),
		"bootstrap": r.atMost(MaxSecrets, func(n *yaml.Node, at string) { r.bootstrap(out, n, at) }),
	}) {
		return nil
	}
	return out
}

func (r *registerReader) item(out *SecretRegister, n *yaml.Node, at string) {
	i := SecretItem{Location: report.Location{File: r.file, Line: n.Line}}
	care, rotate := r.care(&i.SecretCare)
	care["item"], care["purpose"], care["make"] = r.title(&i.Item), r.text(&i.Purpose), r.text(&i.Make)
	care["fields"], care["places"] = r.dataKeys(&i.Fields), r.list(func(v *yaml.Node, at string) {
		if len(r.places) == maxPlaces {
			r.mistake(v.Line, "%s: %d places are the most that are read", at, maxPlaces)
			return
		}
		if p := r.place(v, at); p.Name != "" {
			i.Places = append(i.Places, p)
		}
	})
	r.mapping(n, at, care)
	if n.Kind != yaml.MappingNode {
		r.notMapping(n, at)
		return
	}
	r.required(n, at, "item", i.Item, "purpose", i.Purpose, "make", i.Make,
		"owner", i.Owner, "rotate", *rotate, "rotation", i.Rotation)
	r.some(n, at, "fields", "name the labels of the item's fields")
	r.some(n, at, "places", "name each OnePasswordItem that takes it as namespace/name")
	out.Items = append(out.Items, i)
}

func (r *registerReader) bootstrap(out *SecretRegister, n *yaml.Node, at string) {
	b := BootstrapSecret{Location: report.Location{File: r.file, Line: n.Line}}
	care, rotate := r.care(&b.SecretCare)
	care["secret"] = func(v *yaml.Node, at string) { b.Secret = r.place(v, at) }
	care["purpose"], care["make"], care["fields"] = r.text(&b.Purpose), r.text(&b.Make), r.dataKeys(&b.Fields)
	r.mapping(n, at, care)
	if n.Kind != yaml.MappingNode {
		r.notMapping(n, at)
		return
	}
	r.required(n, at, "secret", b.Secret.Name, "purpose", b.Purpose, "make", b.Make,
		"owner", b.Owner, "rotate", *rotate, "rotation", b.Rotation)
	r.some(n, at, "fields", "name the keys of the Secret")
	out.Bootstrap = append(out.Bootstrap, b)
}

// care are the keys that both kinds of entries have. It also returns the text of rotate.
func (r *registerReader) care(into *SecretCare) (fields, *string) {
	var rotate string
	return fields{
		"owner": r.text(&into.Owner), "rotation": r.text(&into.Rotation),
		"rotate": func(v *yaml.Node, at string) {
			if rotate = r.scalar(v, at); rotate == "" || rotate == "never" {
				return
			}
			days, err := strconv.Atoi(rotate)
			if err != nil || days < 1 || days > MaxAge {
				r.mistake(v.Line, "%s is %q; write the days after which it is old, from 1 to %d, or never and in rotation why", at, cut(rotate), MaxAge)
				return
			}
			into.Rotate = days
		},
	}, &rotate
}

// some notes a list that is not there or has nothing in it.
func (r *registerReader) some(n *yaml.Node, at, key, what string) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if v := n.Content[i+1]; n.Content[i].Value == key {
			if null(v) || v.Kind == yaml.SequenceNode && len(v.Content) == 0 {
				r.mistake(v.Line, "%s.%s is empty; %s", at, key, what)
			}
			return
		}
	}
	r.mistake(n.Line, "%s has no %s; %s", at, key, what)
}

// title reads the title of an item, which is part of a path and there once.
func (r *registerReader) title(into *string) field {
	return func(v *yaml.Node, at string) {
		text := r.scalar(v, at)
		first, twice := r.items[text]
		switch {
		case text == "":
			return
		case strings.ContainsAny(text, "/\n\r"):
			r.mistake(v.Line, "%s is %q; a title with / or a line break cannot stand in the path of an item", at, cut(text))
			return
		case twice:
			r.mistake(v.Line, "%s is %q, as is the item in line %d; 1Password takes the oldest of two with one title", at, cut(text), first)
		default:
			r.items[text] = v.Line
		}
		*into = text
	}
}

// dataKeys reads the keys of a Secret, which the operator leaves as they are.
func (r *registerReader) dataKeys(into *[]string) field {
	return r.list(func(v *yaml.Node, at string) {
		text := r.scalar(v, at)
		switch {
		case text == "":
		case len(validation.IsConfigMapKey(text)) > 0:
			r.mistake(v.Line, "%s is %q; use letters, digits, dashes, dots and underscores: it becomes a key of the Secret", at, cut(text))
		case slices.Contains(*into, text):
			r.mistake(v.Line, "%s is %q, which is in the list already", at, cut(text))
		case len(*into) == MaxSecrets:
			r.mistake(v.Line, "%s: %d fields are the most that are read", at, MaxSecrets)
		default:
			*into = append(*into, text)
		}
	})
}

// place reads namespace/name, which stands in the register once.
func (r *registerReader) place(v *yaml.Node, at string) Place {
	text := r.scalar(v, at)
	if text == "" {
		return Place{}
	}
	namespace, name, _ := strings.Cut(text, "/")
	if len(validation.IsDNS1123Label(namespace)) > 0 || len(validation.IsDNS1123Subdomain(name)) > 0 {
		r.mistake(v.Line, "%s is %q; write it as NAMESPACE/NAME", at, cut(text))
		return Place{}
	}
	if first, twice := r.places[text]; twice {
		r.mistake(v.Line, "%s is %q, as is line %d; a Secret has one source", at, cut(text), first)
		return Place{}
	}
	r.places[text] = v.Line
	return Place{Namespace: namespace, Name: name, Location: report.Location{File: r.file, Line: v.Line}}
}
