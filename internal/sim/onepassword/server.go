// Package onepassword simulates 1Password Connect, the server in a home network that
// hands out the items of vaults: the part of its REST API that 1Password's operator and
// SDKs use, over vaults in a file with made-up values.
//
// Real are HTTP, the bearer token, filters, identifiers, versions and the form of errors.
// There is no 1Password behind it and nothing is encrypted; files in items and patches
// of single fields are refused, as is every route that Connect does not have.
//
// A file trouble.json beside the vaults makes it fail or answer late, see [Trouble].
package onepassword

import (
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Version is the version of Connect whose API this is.
const Version = "1.8.2"

// TroubleFile is the name of the file, next to that of the [Store], that makes the
// server fail.
const TroubleFile = "trouble.json"

// Trouble is what goes wrong with every request that needs the token, for as long as
// its file is there.
type Trouble struct {
	Status  int    `json:"status"`  // to answer with; 0: the right answer
	Message string `json:"message"` // of the error
	Delay   string `json:"delay"`   // before any answer, as "2s"
}

// maxBody bounds an item that is written.
const maxBody = 1 << 20

// Handler serves the store to whoever reaches it and knows the token. refresh, if there
// is one, is called before vaults are listed.
func Handler(s *Store, token string, refresh func() error) http.Handler {
	h := &handler{Store: s, token: token, refresh: refresh}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /heartbeat", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, ".") })
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]any{"name": "1Password Connect API (simulated)", "version": Version, "dependencies": []any{}})
	})
	for pattern, f := range map[string]func(*http.Request) (int, any){
		"GET /v1/vaults":                            h.listVaults,
		"GET /v1/vaults/{vault}":                    h.getVault,
		"GET /v1/vaults/{vault}/items":              h.listItems,
		"POST /v1/vaults/{vault}/items":             h.createItem,
		"GET /v1/vaults/{vault}/items/{item}":       h.getItem,
		"PUT /v1/vaults/{vault}/items/{item}":       h.replaceItem,
		"DELETE /v1/vaults/{vault}/items/{item}":    h.deleteItem,
		"GET /v1/vaults/{vault}/items/{item}/files": h.listFiles,
	} {
		mux.HandleFunc(pattern, h.allowed(f))
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		answer(w, http.StatusNotFound, failed(http.StatusNotFound, "no such route here: %s %s", r.Method, r.URL.Path))
	})
	return loopback(mux)
}

// loopback refuses clients of other machines, should somebody listen on more than that.
func loopback(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.RemoteAddr)
		if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
			answer(w, http.StatusForbidden, failed(http.StatusForbidden, "simulated: for clients of this machine alone"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

type handler struct {
	*Store
	token   string
	refresh func() error
}

// problem is an error as Connect writes it.
type problem struct {
	Status  int    `json:"status"`
	Message string `json:"message"`
}

func failed(status int, format string, args ...any) problem {
	return problem{status, fmt.Sprintf(format, args...)}
}

func answer(w http.ResponseWriter, status int, v any) {
	if v == nil {
		w.WriteHeader(status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client may have gone
}

// allowed asks for the token, and lets trouble come first.
func (h *handler) allowed(f func(*http.Request) (int, any)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		t, err := h.trouble()
		if err != nil {
			answer(w, http.StatusInternalServerError, failed(http.StatusInternalServerError, "%v", err))
			return
		}
		if delay, _ := time.ParseDuration(t.Delay); delay > 0 {
			select {
			case <-r.Context().Done():
				return
			case <-time.After(delay):
			}
		}
		if t.Status != 0 {
			answer(w, t.Status, failed(t.Status, "%s", t.Message))
			return
		}
		got, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok || subtle.ConstantTimeCompare([]byte(got), []byte(h.token)) != 1 {
			answer(w, http.StatusUnauthorized, failed(http.StatusUnauthorized, "Invalid bearer token"))
			return
		}
		if h.refresh != nil && r.Method == http.MethodGet && r.URL.Path == "/v1/vaults" {
			if err := h.refresh(); err != nil {
				answer(w, http.StatusInternalServerError, failed(http.StatusInternalServerError, "%v", err))
				return
			}
		}
		h.mu.Lock()
		status, v := f(r)
		h.mu.Unlock()
		answer(w, status, v)
	}
}

// trouble reads the file; a file that cannot be understood is trouble, too.
func (h *handler) trouble() (Trouble, error) {
	var t Trouble
	path := filepath.Join(filepath.Dir(h.path), TroubleFile)
	b, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return t, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &t)
	}
	if err == nil && t.Status != 0 && (t.Status < 400 || t.Status > 599) {
		err = fmt.Errorf("status %d is none of an error", t.Status)
	}
	if err == nil && t.Delay != "" {
		_, err = time.ParseDuration(t.Delay)
	}
	if err != nil {
		return t, fmt.Errorf("%s: %w", TroubleFile, err)
	}
	return t, nil
}

// filters are those that the SDKs send.
var filters = regexp.MustCompile(`^(?:title|name) eq "((?:[^"\\]|\\.)*)"$`)

// filter returns the name that is asked for, "" for all; the error is for the client.
func filter(r *http.Request) (string, *problem) {
	text := r.URL.Query().Get("filter")
	if text == "" {
		return "", nil
	}
	m := filters.FindStringSubmatch(text)
	if m == nil {
		p := failed(http.StatusBadRequest, `simulated: only filters of the form title eq "…" are understood, not %s`, text)
		return "", &p
	}
	return m[1], nil
}

func (h *handler) listVaults(r *http.Request) (int, any) {
	name, p := filter(r)
	if p != nil {
		return p.Status, p
	}
	if h.invent && name != "" {
		if err := h.require([]Wanted{{Vault: name}}); err != nil {
			return broken(err)
		}
	}
	list := []vault{}
	for _, v := range h.data.Vaults {
		if name == "" || strings.EqualFold(name, v.Name) {
			list = append(list, h.counted(v))
		}
	}
	return http.StatusOK, list
}

func (h *handler) counted(v vault) vault {
	for _, it := range h.data.Items {
		if it.Vault.ID == v.ID {
			v.Items++
		}
	}
	return v
}

func (h *handler) getVault(r *http.Request) (int, any) {
	v := h.vaultByID(r.PathValue("vault"))
	if v == nil {
		return noVault(r)
	}
	return http.StatusOK, h.counted(*v)
}

func noVault(r *http.Request) (int, any) {
	return http.StatusNotFound, failed(http.StatusNotFound, "vault %s not found", r.PathValue("vault"))
}

func noItem(r *http.Request) (int, any) {
	return http.StatusNotFound, failed(http.StatusNotFound, "item %s not found", r.PathValue("item"))
}

func (h *handler) listItems(r *http.Request) (int, any) {
	v := h.vaultByID(r.PathValue("vault"))
	if v == nil {
		return noVault(r)
	}
	title, p := filter(r)
	if p != nil {
		return p.Status, p
	}
	if h.invent && title != "" {
		if err := h.require([]Wanted{{Vault: v.Name, Title: title, Fields: invented}}); err != nil {
			return broken(err)
		}
	}
	list := []item{}
	for _, it := range h.data.Items {
		if it.Vault.ID == v.ID && (title == "" || title == it.Title) {
			it.Fields = nil // a list has no values
			list = append(list, it)
		}
	}
	return http.StatusOK, list
}

func (h *handler) getItem(r *http.Request) (int, any) {
	i := h.find(r.PathValue("vault"), r.PathValue("item"))
	if i < 0 {
		return noItem(r)
	}
	return http.StatusOK, h.data.Items[i]
}

func (h *handler) listFiles(r *http.Request) (int, any) {
	if h.find(r.PathValue("vault"), r.PathValue("item")) < 0 {
		return noItem(r)
	}
	return http.StatusOK, []any{}
}

// read returns the item that a client sends.
func read(r *http.Request) (item, *problem) {
	var it item
	err := json.NewDecoder(http.MaxBytesReader(nil, r.Body, maxBody)).Decode(&it)
	switch {
	case err != nil:
		p := failed(http.StatusBadRequest, "the item cannot be read: %v", err)
		return it, &p
	case it.Title == "":
		p := failed(http.StatusBadRequest, "the item has no title")
		return it, &p
	case it.Vault.ID != "" && it.Vault.ID != r.PathValue("vault"):
		p := failed(http.StatusBadRequest, "the item names another vault than the address")
		return it, &p
	}
	for i := range it.Fields {
		if it.Fields[i].ID == "" {
			it.Fields[i].ID = newID()
		}
		if it.Fields[i].Type == "" {
			it.Fields[i].Type = "STRING"
		}
	}
	return it, nil
}

func (h *handler) createItem(r *http.Request) (int, any) {
	if h.vaultByID(r.PathValue("vault")) == nil {
		return noVault(r)
	}
	it, p := read(r)
	if p != nil {
		return p.Status, p
	}
	return h.written(h.add(r.PathValue("vault"), it))
}

func (h *handler) replaceItem(r *http.Request) (int, any) {
	i := h.find(r.PathValue("vault"), r.PathValue("item"))
	if i < 0 {
		return noItem(r)
	}
	it, p := read(r)
	if p != nil {
		return p.Status, p
	}
	return h.written(h.replace(i, it))
}

func (h *handler) deleteItem(r *http.Request) (int, any) {
	i := h.find(r.PathValue("vault"), r.PathValue("item"))
	if i < 0 {
		return noItem(r)
	}
	h.data.Items = slices.Delete(h.data.Items, i, i+1)
	if status, v := h.written(item{}); status != http.StatusOK {
		return status, v
	}
	return http.StatusNoContent, nil
}

// written keeps what was changed and answers with it.
func (h *handler) written(it item) (int, any) {
	if err := h.write(); err != nil {
		return broken(err)
	}
	return http.StatusOK, it
}

func broken(err error) (int, any) {
	return http.StatusInternalServerError, failed(http.StatusInternalServerError, "%v", err)
}
