package helm

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
)

func TestGuarded(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ text, want string }{
		"text":            {"a: b", "{{_}}a: b"},
		"define":          {"{{ define \"x\" }}\n  {{- .a }}{{ end }}", "{{_}}{{ define \"x\" }}{{_}}\n  {{- .a }}{{ end }}"},
		"trimmed":         {"{{- define \"x\" -}}\n  a{{ end }}", "{{_}}{{- define \"x\" -}}{{_ -}}\n  a{{ end }}"},
		"range":           {"{{ range .a }}{{ . }}{{ else }}b{{ end }}", "{{_}}{{ range .a }}{{_}}{{ . }}{{ else }}b{{ end }}"},
		"empty range":     {"{{ range .a }}  {{- end }}", "{{_}}{{ range .a }}{{_}}  {{- end }}"},
		"tpl":             {"{{ tpl .a . }}", "{{_}}{{ tpl (__ .a) . }}"},
		"tpl in a pipe":   {"{{ . | tpl (printf \")%s\" .a) | quote }}", "{{_}}{{ . | tpl (printf \")%s\" .a | __) | quote }}"},
		"tpl in tpl":      {"{{ if (tpl (tpl `}} )` .) $) }}x{{ end }}", "{{_}}{{ if (tpl (tpl (__ `}} )`) . | __) $) }}x{{ end }}"},
		"field of a call": {"{{ tpl (get .a .b).c . }}", "{{_}}{{ tpl (__ (get .a .b).c) . }}"},
		"no operand":      {"{{ tpl }}{{ .tpl }}", "{{_}}{{ tpl }}{{ .tpl }}"},
		"damaged":         {"{{ if }", "{{ if }"},
	} {
		got, err := guarded(tc.text)
		if err != nil {
			t.Fatal(err)
		}
		if diff := gocmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	_, err := guarded(strings.Repeat("{{if 1}}", maxActions+1))
	if got, want := err.Error(), "it has 100001 actions, more than the 100000 that a template may have"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestRunaway: templates that would kill the process end with an error.
func TestRunaway(t *testing.T) {
	t.Parallel()
	const handed = "the functions of its templates made more than 256 MiB"
	for name, tc := range map[string]struct{ template, spec, want string }{
		"tpl of itself":           {"{{ tpl .Values.x . }}", `values: {x: "{{ tpl .Values.x . }}"}`, "templates call each other without end"},
		"tpl of itself in a pipe": {"{{ . | tpl .Values.x }}", `values: {x: "{{ . | tpl (print .Values.x) | quote }}"}`, "templates call each other without end"},
		"tpl and include":         {`{{ define "a" }}{{ tpl .Values.x . }}{{ end }}{{ include "a" . }}`, `values: {x: "{{ include \"a\" . }}"}`, "templates call each other without end"},
		"template and tpl":        {`{{ define "a" }}{{ template "a" . }}{{ end }}{{ template "a" . }}`, "", "templates call each other without end"},
		"doubled text":            {`{{ $b := "xxxxxxxx" }}{{ range until 60 }}{{ $b = printf "%s%s" $b $b }}{{ end }}`, "", handed},
		"replaced text":           {`{{ $b := repeat 900000 "x" }}{{ replace "x" $b $b }}`, "", handed},
		"indented text":           {`{{ $b := repeat 900000 "\n" }}{{ nindent 900000 $b }}`, "", handed},
		"repeated text":           {`{{ range until 1000 }}{{ $b := repeat 1000000 "x" }}{{ end }}`, "", handed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Render(context.Background(), release(t, tc.spec), site{files: one(tc.template)}.env(t))
			var bad *ChartError
			if !errors.As(err, &bad) || !strings.Contains(bad.Message, tc.want) || strings.Contains(bad.Message, "(__") {
				t.Errorf("got %v, want %s", problem(err), tc.want)
			}
		})
	}
}

// TestMemoryBound: a release that takes too much memory is given up, and its
// templates end at the next loop. Not parallel: the memory is that of the process.
func TestMemoryBound(t *testing.T) {
	ctx, giveUp := context.WithCancelCause(context.Background())
	defer giveUp(nil)
	b := &bound{ctx: ctx}
	go watch(ctx, 8<<20, giveUp)
	var held [][]byte
	for end := time.Now().Add(10 * time.Second); ; {
		_, err := b.enter()
		if err != nil {
			if !errors.Is(err, errMemory) {
				t.Errorf("got %v, want %v", err, errMemory)
			}
			break
		}
		if time.Now().After(end) {
			t.Fatal("it was not given up")
		}
		if len(held) < 1<<10 {
			held = append(held, make([]byte, 1<<16))
		} else {
			runtime.GC()
		}
	}
	runtime.KeepAlive(held)
}

func TestPinned(t *testing.T) {
	t.Parallel()
	out := mustRender(t, site{files: one(`
apiVersion: v1
kind: ConfigMap
metadata: {name: x}
data:
  a: {{ durationRound now }}
  b: {{ durationRound (now | dateModify "-49h") }}
  c: {{ durationRound "90m" }}
  d: {{ "text" | encryptAES "key" | decryptAES "key" }}
  e: {{ "/w==" | decryptAES "key" }}
  f: {{ tpl "{{ include \"y\" . }}{{ define \"y\" }}{{ range list 1 2 }}{{ . }},{{ end }}{{ end }}" . }}
`)}, "")
	got := out.Objects[0].Object["data"]
	want := map[string]any{"a": "0s", "b": "2d", "c": "1h", "d": "text", "e": "decrypted", "f": "1,2,"}
	if diff := gocmp.Diff(any(want), got); diff != "" {
		t.Error(diff)
	}
}
