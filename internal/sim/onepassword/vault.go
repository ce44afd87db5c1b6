package onepassword

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"lumacore.dev/lumacore/internal/report"
)

// Wanted is an item that an owner would have created in 1Password.
type Wanted struct {
	Vault  string   // name of the vault
	Title  string   // of the item
	Fields []string // labels
}

// Store is what a 1Password account has, in a file that only its user reads.
type Store struct {
	path string
	now  func() time.Time

	mu   sync.Mutex
	data contents
	// invent: see Require.
	invent bool
}

// invented are the fields of an item of which only the title is known.
var invented = []string{"username", "password"}

// contents is the file.
type contents struct {
	Vaults []vault `json:"vaults"`
	Items  []item  `json:"items"`
	// Made are the fields that were made because they were wanted. What somebody has
	// deleted since is not made again.
	Made map[string]bool `json:"made"`
}

// vault and item have the JSON form of Connect's API. See
// https://developer.1password.com/docs/connect/api-reference/.
type vault struct {
	ID             string    `json:"id"`
	Name           string    `json:"name"`
	Description    string    `json:"description,omitempty"`
	ContentVersion int       `json:"contentVersion"`
	Items          int       `json:"items"`
	Type           string    `json:"type"`
	CreatedAt      time.Time `json:"createdAt"`
	UpdatedAt      time.Time `json:"updatedAt"`
}

type item struct {
	ID        string    `json:"id"`
	Title     string    `json:"title"`
	Vault     inVault   `json:"vault"`
	Category  string    `json:"category"`
	Tags      []string  `json:"tags,omitempty"`
	Version   int       `json:"version"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
	Fields    []field   `json:"fields,omitempty"`
}

type inVault struct {
	ID string `json:"id"`
}

type field struct {
	ID    string `json:"id"`
	Type  string `json:"type"`
	Label string `json:"label"`
	Value string `json:"value,omitempty"`
}

// OpenStore reads the file, which need not be there yet.
func OpenStore(path string) (*Store, error) {
	s := &Store{path: path, now: time.Now, data: contents{Made: map[string]bool{}}}
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, &s.data); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w", path, err)
	}
	if s.data.Made == nil {
		s.data.Made = map[string]bool{}
	}
	return s, nil
}

// Require makes what is wanted and was never there, with made-up values. Values that are
// there stay as they are. invent makes each item that is asked for by its title later on,
// too.
func (s *Store) Require(list []Wanted, invent bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.invent = invent
	return s.require(list)
}

func (s *Store) require(list []Wanted) error {
	changed := false
	for _, w := range list {
		v := s.vaultNamed(w.Vault)
		if v == nil {
			now := s.time()
			s.data.Vaults = append(s.data.Vaults, vault{ID: newID(), Name: w.Vault, Type: "USER_CREATED", ContentVersion: 1, CreatedAt: now, UpdatedAt: now})
			v = &s.data.Vaults[len(s.data.Vaults)-1]
			changed = true
		}
		var missing []field
		for _, label := range w.Fields {
			if key := v.Name + "/" + w.Title + "/" + label; !s.data.Made[key] {
				s.data.Made[key] = true
				missing = append(missing, field{ID: newID(), Type: "CONCEALED", Label: label, Value: madeUp(label)})
			}
		}
		if len(missing) == 0 {
			continue
		}
		changed = true
		i := slices.IndexFunc(s.data.Items, func(i item) bool { return i.Vault.ID == v.ID && i.Title == w.Title })
		if i < 0 {
			s.add(v.ID, item{Title: w.Title, Fields: missing})
			continue
		}
		it := s.data.Items[i]
		for _, f := range missing {
			if !slices.ContainsFunc(it.Fields, func(have field) bool { return have.Label == f.Label }) {
				it.Fields = append(it.Fields, f)
			}
		}
		s.replace(i, it)
	}
	if !changed {
		return nil
	}
	return s.write()
}

// add adds an item with a new ID.
func (s *Store) add(vaultID string, it item) item {
	now := s.time()
	it.ID, it.Vault.ID, it.Version, it.CreatedAt, it.UpdatedAt = newID(), vaultID, 1, now, now
	if it.Category == "" {
		it.Category = "API_CREDENTIAL"
	}
	s.data.Items = append(s.data.Items, it)
	return it
}

// replace puts a new version in the place of an item.
func (s *Store) replace(i int, it item) item {
	old := s.data.Items[i]
	it.ID, it.Vault, it.CreatedAt = old.ID, old.Vault, old.CreatedAt
	it.Version, it.UpdatedAt = old.Version+1, s.time()
	if it.Category == "" {
		it.Category = old.Category
	}
	s.data.Items[i] = it
	return it
}

func (s *Store) vaultNamed(name string) *vault {
	for i := range s.data.Vaults {
		if strings.EqualFold(s.data.Vaults[i].Name, name) {
			return &s.data.Vaults[i]
		}
	}
	return nil
}

func (s *Store) vaultByID(id string) *vault {
	for i := range s.data.Vaults {
		if s.data.Vaults[i].ID == id {
			return &s.data.Vaults[i]
		}
	}
	return nil
}

// find returns the place of an item, -1 when there is none.
func (s *Store) find(vaultID, id string) int {
	return slices.IndexFunc(s.data.Items, func(i item) bool { return i.Vault.ID == vaultID && i.ID == id })
}

func (s *Store) write() error {
	b, err := json.MarshalIndent(s.data, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(s.path), 0o700); err != nil {
		return err
	}
	return report.WriteFile(s.path, b, 0o600)
}

// time is now as Connect writes it.
func (s *Store) time() time.Time { return s.now().UTC().Truncate(time.Second) }

// newID is an ID of 1Password's form: 26 letters and digits.
func newID() string { return strings.ToLower(rand.Text()) }

// madeUp is a value that nobody takes for a real one. Kubernetes looks into some Secrets
// by the name of the key; those have its form.
func madeUp(label string) string {
	text := "lab-only-" + strings.ToLower(rand.Text())
	lower := strings.ToLower(label)
	switch {
	case label == ".dockerconfigjson":
		auth := base64.StdEncoding.EncodeToString([]byte("lab:" + text))
		return `{"auths":{"registry.lab.invalid":{"username":"lab","password":"` + text + `","auth":"` + auth + `"}}}`
	case strings.HasSuffix(lower, ".json"):
		return `{"made-up":"` + text + `"}`
	case strings.Contains(lower, "url"):
		return "https://lab.invalid/" + text
	}
	return text
}
