package imagename

import "testing"

const digestExample = "sha256:98ad9d1a2be345201bb0709b0d38655eb1b370145c7d94ca1fe9c421f76e245a"

func TestParse(t *testing.T) {
	t.Parallel()
	for image, want := range map[string]Name{
		"nginx":                                   {"docker.io/library/nginx", "", ""},
		"nginx:1":                                 {"docker.io/library/nginx", "1", ""},
		"docker.io/nginx:1":                       {"docker.io/library/nginx", "1", ""},
		"grafana/grafana":                         {"docker.io/grafana/grafana", "", ""},
		"localhost:5000/app":                      {"localhost:5000/app", "", ""},
		"localhost:5000/app:1":                    {"localhost:5000/app", "1", ""},
		"ghcr.io/a/b:1@" + digestExample:          {"ghcr.io/a/b", "1", digestExample},
		"registry.lab:5000/app@" + digestExample:  {"registry.lab:5000/app", "", digestExample},
		"registry.lab:5000/ab:c@" + digestExample: {"registry.lab:5000/ab", "c", digestExample},
		"registry.k8s.io/e2e/agnhost:2.59":        {"registry.k8s.io/e2e/agnhost", "2.59", ""},
		"index.docker.io/library/nginx:1.29-slim": {"docker.io/library/nginx", "1.29-slim", ""},
	} {
		got, err := Parse(image)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", image, got, err, want)
		}
	}
}
