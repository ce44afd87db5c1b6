package onepassword

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The operator, with 1Password's own client, talks to it in test/e2e.

const token = "the-token"

// connect is a Connect with two items in the vault "lumacore".
func connect(t *testing.T) (*Store, *httptest.Server) {
	t.Helper()
	s, err := OpenStore(filepath.Join(t.TempDir(), "connect", "vaults.json"))
	if err != nil {
		t.Fatal(err)
	}
	clock := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	s.now = func() time.Time { clock = clock.Add(time.Second); return clock }
	if err := s.Require([]Wanted{
		{Vault: "lumacore", Title: "grafana", Fields: []string{"username", "password"}},
		{Vault: "lumacore", Title: "registry", Fields: []string{".dockerconfigjson"}},
	}, false); err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(Handler(s, token, nil))
	t.Cleanup(srv.Close)
	return s, srv
}

// ask sends a request with the token and decodes the answer.
func ask[T any](t *testing.T, srv *httptest.Server, method, path, body string) (int, T) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, srv.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	res, err := srv.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var v T
	if len(b) > 0 {
		if err := json.Unmarshal(b, &v); err != nil {
			t.Fatalf("%s %s: %v: %s", method, path, err, b)
		}
	}
	return res.StatusCode, v
}

func titled(title string) string {
	return "?filter=" + url.QueryEscape(fmt.Sprintf("title eq %q", title))
}

// place returns the vault's path and that of an item.
func place(t *testing.T, srv *httptest.Server, title string) (vaultPath, itemPath string) {
	t.Helper()
	_, vaults := ask[[]vault](t, srv, "GET", "/v1/vaults"+titled("lumacore"), "")
	if len(vaults) != 1 {
		t.Fatalf("vaults: %v", vaults)
	}
	vaultPath = "/v1/vaults/" + vaults[0].ID
	_, items := ask[[]item](t, srv, "GET", vaultPath+"/items"+titled(title), "")
	if len(items) != 1 {
		t.Fatalf("items: %v", items)
	}
	return vaultPath, vaultPath + "/items/" + items[0].ID
}

// As the operator goes: vault by name, item by title, item by ID.
func TestRead(t *testing.T) {
	_, srv := connect(t)
	vaultPath, itemPath := place(t, srv, "grafana")
	_, v := ask[vault](t, srv, "GET", vaultPath, "")
	if v.Name != "lumacore" || v.Items != 2 || v.Type != "USER_CREATED" || !regexp.MustCompile(`^[a-z0-9]{26}$`).MatchString(v.ID) {
		t.Errorf("vault %+v", v)
	}
	_, list := ask[[]item](t, srv, "GET", vaultPath+"/items", "")
	if len(list) != 2 || list[0].Title != "grafana" || list[0].Fields != nil || list[0].Vault.ID != v.ID {
		t.Errorf("items %+v", list)
	}
	_, it := ask[item](t, srv, "GET", itemPath, "")
	var labels []string
	for _, f := range it.Fields {
		labels = append(labels, f.Label)
		if !strings.HasPrefix(f.Value, "lab-only-") || f.Type != "CONCEALED" || f.ID == "" {
			t.Errorf("field %+v", f)
		}
	}
	if diff := cmp.Diff([]string{"username", "password"}, labels); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
	if it.Version != 1 || it.Fields[0].Value == it.Fields[1].Value || it.CreatedAt.IsZero() {
		t.Errorf("item %+v", it)
	}
	for path, want := range map[string]int{itemPath + "/files": 0, vaultPath + "/items" + titled("nobody"): 0, "/v1/vaults" + titled("other"): 0} {
		if code, list := ask[[]any](t, srv, "GET", path, ""); code != 200 || len(list) != want {
			t.Errorf("%s: %d, %v", path, code, list)
		}
	}
}

func TestWrite(t *testing.T) {
	s, srv := connect(t)
	vaultPath, itemPath := place(t, srv, "grafana")
	_, old := ask[item](t, srv, "GET", itemPath, "")
	code, changed := ask[item](t, srv, "PUT", itemPath, `{"title":"grafana","fields":[{"label":"password","value":"new"}]}`)
	if code != 200 || changed.Version != 2 || changed.ID != old.ID || !changed.UpdatedAt.After(old.UpdatedAt) ||
		!changed.CreatedAt.Equal(old.CreatedAt) || changed.Category != old.Category {
		t.Errorf("%d, %+v", code, changed)
	}
	if _, now := ask[item](t, srv, "GET", itemPath, ""); len(now.Fields) != 1 || now.Fields[0].Value != "new" || now.Fields[0].ID == "" {
		t.Errorf("item %+v", now)
	}
	code, made := ask[item](t, srv, "POST", vaultPath+"/items", `{"title":"made","category":"LOGIN"}`)
	if code != 200 || made.Version != 1 || made.Category != "LOGIN" {
		t.Errorf("%d, %+v", code, made)
	}
	if code, _ := ask[any](t, srv, "DELETE", itemPath, ""); code != 204 {
		t.Errorf("delete: %d", code)
	}
	// What was deleted is not made again, what is wanted newly is; and all of it is in
	// the file, which only its owner reads.
	if err := s.Require([]Wanted{
		{Vault: "lumacore", Title: "grafana", Fields: []string{"username", "password"}},
		{Vault: "lumacore", Title: "registry", Fields: []string{".dockerconfigjson", "more"}},
	}, false); err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(s.path); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", fi.Mode(), err)
	}
	again, err := OpenStore(s.path)
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for _, it := range again.data.Items {
		have = append(have, fmt.Sprintf("%s %d fields, version %d", it.Title, len(it.Fields), it.Version))
	}
	if diff := cmp.Diff([]string{"registry 2 fields, version 2", "made 0 fields, version 1"}, have); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestRefused(t *testing.T) {
	_, srv := connect(t)
	vaultPath, itemPath := place(t, srv, "grafana")
	const nobody = "/v1/vaults/aaaaaaaaaaaaaaaaaaaaaaaaaa"
	for _, tt := range []struct {
		method, path, body string
		status             int
		message            string
	}{
		{"GET", nobody, "", 404, "vault aaaaaaaaaaaaaaaaaaaaaaaaaa not found"},
		{"GET", nobody + "/items", "", 404, "vault aaaaaaaaaaaaaaaaaaaaaaaaaa not found"},
		{"POST", nobody + "/items", `{"title":"a"}`, 404, "vault aaaaaaaaaaaaaaaaaaaaaaaaaa not found"},
		{"GET", vaultPath + "/items/b", "", 404, "item b not found"},
		{"GET", vaultPath + "/items/b/files", "", 404, "item b not found"},
		{"PUT", vaultPath + "/items/b", `{"title":"a"}`, 404, "item b not found"},
		{"DELETE", vaultPath + "/items/b", "", 404, "item b not found"},
		{"PUT", itemPath, `{"title":`, 400, "the item cannot be read: unexpected EOF"},
		{"PUT", itemPath, `{}`, 400, "the item has no title"},
		{"PUT", itemPath, `{"title":"a","vault":{"id":"c"}}`, 400, "the item names another vault than the address"},
		{"GET", "/v1/vaults?filter=id+eq+1", "", 400, `simulated: only filters of the form title eq "…" are understood, not id eq 1`},
		{"GET", vaultPath + "/items?filter=x", "", 400, `simulated: only filters of the form title eq "…" are understood, not x`},
		{"GET", "/v1/activity", "", 404, "no such route here: GET /v1/activity"},
		{"PATCH", itemPath, "[]", 404, "no such route here: PATCH " + itemPath},
		{"POST", "/heartbeat", "", 404, "no such route here: POST /heartbeat"},
		{"GET", "/", "", 404, "no such route here: GET /"},
	} {
		t.Run(tt.method+" "+tt.message, func(t *testing.T) {
			code, p := ask[problem](t, srv, tt.method, tt.path, tt.body)
			if diff := cmp.Diff(problem{tt.status, tt.message}, p); code != tt.status || diff != "" {
				t.Errorf("%d (-want +got):\n%s", code, diff)
			}
		})
	}
}

func TestToken(t *testing.T) {
	_, srv := connect(t)
	for header, want := range map[string]int{"Bearer " + token: 200, "Bearer other": 401, "Bearer ": 401, "Basic " + token: 401, "": 401} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/v1/vaults", nil)
		r.Header.Set("Authorization", header)
		r.RemoteAddr = "127.0.0.1:4711"
		w := httptest.NewRecorder()
		srv.Config.Handler.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%q: %d, want %d: %s", header, w.Code, want, w.Body)
		}
	}
	for path, want := range map[string]string{"/heartbeat": ".", "/health": `{"dependencies":[],"name":"1Password Connect API (simulated)","version":"1.8.2"}` + "\n"} {
		res, err := srv.Client().Get(srv.URL + path) // without a token
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if b, _ := io.ReadAll(res.Body); res.StatusCode != 200 || string(b) != want {
			t.Errorf("%s: %d %q", path, res.StatusCode, b)
		}
	}
	for addr, want := range map[string]int{"[::1]:80": 200, "192.168.1.20:80": 403, "nonsense": 403} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/heartbeat", nil)
		r.RemoteAddr = addr
		w := httptest.NewRecorder()
		srv.Config.Handler.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("from %s: %d, want %d", addr, w.Code, want)
		}
	}
}

func TestTrouble(t *testing.T) {
	s, srv := connect(t)
	file := filepath.Join(filepath.Dir(s.path), TroubleFile)
	for name, tt := range map[string]struct {
		file    string
		status  int
		message string
		least   time.Duration
	}{
		"down":         {`{"status":503,"message":"sync is not ready"}`, 503, "sync is not ready", 0},
		"wrong token":  {`{"status":401,"message":"Invalid bearer token"}`, 401, "Invalid bearer token", 0},
		"rate limit":   {`{"status":429,"message":"rate limit exceeded"}`, 429, "rate limit exceeded", 0},
		"slow":         {`{"delay":"50ms"}`, 200, "", 50 * time.Millisecond},
		"slow, down":   {`{"status":500,"message":"a","delay":"50ms"}`, 500, "a", 50 * time.Millisecond},
		"not a status": {`{"status":200}`, 500, "trouble.json: status 200 is none of an error", 0},
		"not a delay":  {`{"delay":"long"}`, 500, `trouble.json: time: invalid duration "long"`, 0},
		"not JSON":     {`x`, 500, "trouble.json: invalid character 'x' looking for beginning of value", 0},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(file, []byte(tt.file), 0o600); err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			code, answer := ask[json.RawMessage](t, srv, "GET", "/v1/vaults", "")
			var p problem
			_ = json.Unmarshal(answer, &p) // a list, when nothing is wrong
			if code != tt.status || p.Message != tt.message || time.Since(start) < tt.least {
				t.Errorf("%d %q after %s", code, p.Message, time.Since(start))
			}
		})
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if code, _ := ask[[]vault](t, srv, "GET", "/v1/vaults", ""); code != 200 {
		t.Errorf("afterwards: %d", code)
	}
}

// Without a register there is what is asked for.
func TestInvent(t *testing.T) {
	s, srv := connect(t)
	if err := s.Require(nil, true); err != nil {
		t.Fatal(err)
	}
	_, vaults := ask[[]vault](t, srv, "GET", "/v1/vaults"+titled("other"), "")
	if len(vaults) != 1 {
		t.Fatalf("vaults %v", vaults)
	}
	path := "/v1/vaults/" + vaults[0].ID + "/items"
	for range 2 {
		_, items := ask[[]item](t, srv, "GET", path+titled("any"), "")
		if len(items) != 1 {
			t.Fatalf("items %v", items)
		}
		if _, it := ask[item](t, srv, "GET", path+"/"+items[0].ID, ""); len(it.Fields) != 2 {
			t.Errorf("item %+v", it)
		}
	}
}

func TestRefresh(t *testing.T) {
	s, _ := connect(t)
	calls := 0
	var fails error
	srv := httptest.NewServer(Handler(s, token, func() error { calls++; return fails }))
	defer srv.Close()
	_, vaults := ask[[]vault](t, srv, "GET", "/v1/vaults", "")
	ask[[]item](t, srv, "GET", "/v1/vaults/"+vaults[0].ID+"/items", "")
	if calls != 1 {
		t.Errorf("%d calls, want 1", calls)
	}
	fails = os.ErrPermission
	if code, p := ask[problem](t, srv, "GET", "/v1/vaults", ""); code != 500 || p.Message != "permission denied" {
		t.Errorf("%d %v", code, p)
	}
}

// Values that Kubernetes looks into have its form.
func TestMadeUp(t *testing.T) {
	for label, want := range map[string]string{
		"password":          `^lab-only-[a-z0-9]{26}$`,
		".dockerconfigjson": `^\{"auths":\{"registry.lab.invalid":\{"username":"lab","password":"lab-only-[a-z0-9]{26}","auth":"[A-Za-z0-9+/=]+"\}\}\}$`,
		"credentials.json":  `^\{"made-up":"lab-only-[a-z0-9]{26}"\}$`,
		"webhook-url":       `^https://lab\.invalid/lab-only-[a-z0-9]{26}$`,
	} {
		if got := madeUp(label); !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("%s: %s", label, got)
		}
	}
}

func TestOpenStoreDamaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vaults.json")
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenStore(path); err == nil || !strings.HasPrefix(err.Error(), path+" is damaged: ") {
		t.Errorf("error %v", err)
	}
}
