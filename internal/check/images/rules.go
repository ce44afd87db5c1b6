package images

import (
	"strings"

	"lumacore.dev/lumacore/internal/report"
)

const digestExample = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

const otherDigest = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

var rules = []report.Rule{
	{
		ID: "images/invalid", Title: "an image name that no container runtime can read", Severity: report.Error,
		Why:  "The kubelet answers InvalidImageName and the pod never starts.",
		Fix:  "Write the image as registry/repository:tag@sha256:digest, in lower case and without spaces.",
		Link: "https://kubernetes.io/docs/concepts/containers/images/#image-names",
		Bad:  pod("ghcr.io/Example/App:1.2.3@" + digestExample),
		Good: pod("ghcr.io/example/app:1.2.3@" + digestExample),
	},
	{
		ID: "images/no-tag", Title: "an image without tag and digest", Severity: report.Error,
		Why:  "Without a tag the runtime takes \"latest\": each node runs what was newest when it pulled, nobody can say which, and a rollback rolls nothing back.",
		Fix:  "Name the version and its digest, such as :1.2.3@sha256:….",
		Link: "https://kubernetes.io/docs/concepts/configuration/overview/#container-images",
		Bad:  pod("ghcr.io/example/app"),
		Good: pod("ghcr.io/example/app:1.2.3@" + digestExample),
	},
	{
		ID: "images/latest", Title: "an image with the tag latest and no digest", Severity: report.Error,
		Why:  "Each node runs what was newest when it pulled, nobody can say which, and a rollback rolls nothing back. With a digest the tag means nothing, and is not reported.",
		Fix:  "Name the version and its digest, such as :1.2.3@sha256:….",
		Link: "https://kubernetes.io/docs/concepts/configuration/overview/#container-images",
		Bad:  pod("ghcr.io/example/app:latest"),
		Good: pod("ghcr.io/example/app:1.2.3@" + digestExample),
	},
	{
		ID: "images/no-digest", Title: "an image with a tag and no digest", Severity: report.Warning,
		Why:  "A tag can be moved: by a publisher who rebuilds it, or by a thief of the publisher's token. With a digest, what was reviewed is what runs.",
		Fix:  "Add the digest after the tag (`crane digest IMAGE` prints it); Flux image automation and Renovate keep both up to date.",
		Link: "https://kubernetes.io/docs/concepts/containers/images/#image-names",
		Bad:  pod("ghcr.io/example/app:1.2.3"),
		Good: pod("ghcr.io/example/app:1.2.3@" + digestExample),
	},
	{
		ID: "images/listed", Title: "an image with a tag and no digest, which images-without-digest.yaml lists", Severity: report.Info,
		Why:  "A tag can be moved, and somebody has decided to live with that for now. It is said each time, so that it does not stay for ever.",
		Fix:  "Resolve the digest (`crane digest IMAGE` prints it), write it behind the tag, and take the entry out of images-without-digest.yaml.",
		Link: listReference,
		Bad:  listExample("ghcr.io/example/app:1.2.3") + "-- cluster/objects.yaml --\n" + pod("ghcr.io/example/app:1.2.3"),
		Good: emptyListExample + "-- cluster/objects.yaml --\n" + pod("ghcr.io/example/app:1.2.3@"+digestExample),
	},
	{
		ID: "images/unlisted", Title: "an image with a tag and no digest, which images-without-digest.yaml does not list", Severity: report.Error,
		Why:  "The repository has a list of the images that are not pinned yet, each with the reason. One that is neither pinned nor listed was forgotten.",
		Fix:  "Add the digest after the tag (`crane digest IMAGE` prints it), or an entry with the reason to images-without-digest.yaml.",
		Link: listReference,
		Bad:  emptyListExample + "-- cluster/objects.yaml --\n" + pod("ghcr.io/example/app:1.2.3"),
		Good: emptyListExample + "-- cluster/objects.yaml --\n" + pod("ghcr.io/example/app:1.2.3@"+digestExample),
	},
	{
		ID: "images/list-unused", Title: "an entry of images-without-digest.yaml that fits no image", Severity: report.Warning,
		Why:  "The image was pinned, or its version has changed, or is gone. What stays hides the next one that happens to fit.",
		Fix:  "Take the entry out, or correct its image.",
		Link: listReference,
		Bad:  listExample("ghcr.io/example/app:1.2.2") + "-- cluster/objects.yaml --\n" + pod("ghcr.io/example/app:1.2.3@"+digestExample),
		Good: emptyListExample + "-- cluster/objects.yaml --\n" + pod("ghcr.io/example/app:1.2.3@"+digestExample),
	},
	{
		ID: "images/list-invalid", Title: "an images-without-digest.yaml that cannot be read", Severity: report.Error,
		Why:  "An entry that cannot be read lists nothing, and the whole file may be misunderstood.",
		Fix:  "Write it as docs/reference/images-without-digest.md of LumaCore shows.",
		Link: listReference,
		Bad:  strings.Replace(listExample("ghcr.io/example/app:1.2.3"), "reason:", "because:", 1) + "-- cluster/objects.yaml --\n" + pod("ghcr.io/example/app:1.2.3@"+digestExample),
		Good: emptyListExample + "-- cluster/objects.yaml --\n" + pod("ghcr.io/example/app:1.2.3@"+digestExample),
	},
	{
		ID: "images/registry-not-allowed", Title: "an image from a registry that lumacore.yaml does not list", Severity: report.Error,
		Why:  "Only what comes from the listed registries was agreed on; all else is somebody's upload. The rule is silent unless check.images.registries lists something.",
		Fix:  "Take the image from a listed registry, or add its registry or repository to check.images.registries in lumacore.yaml.",
		Link: "https://kubernetes.io/docs/concepts/security/application-security-checklist/#images",
		Bad:  registriesExample + "-- cluster/objects.yaml --\n" + pod("example/app:1.2.3@"+digestExample),
		Good: registriesExample + "-- cluster/objects.yaml --\n" + pod("ghcr.io/example/app:1.2.3@"+digestExample),
	},
	{
		ID: "images/tag-with-two-digests", Title: "one tag, pinned to two digests in one cluster", Severity: report.Warning,
		Why:  "Two places say the same version and run different code. Either one of them was forgotten at an update, or the tag was moved, which is worth knowing.",
		Fix:  "Pin all uses of the tag to the same digest; if the registry moved the tag, find out why first.",
		Link: "https://github.com/opencontainers/image-spec/blob/main/descriptor.md#digests",
		Bad:  pod("ghcr.io/example/app:1.2.3@"+digestExample) + "---\n" + podNamed("other", "ghcr.io/example/app:1.2.3@"+otherDigest),
		Good: pod("ghcr.io/example/app:1.2.3@"+digestExample) + "---\n" + podNamed("other", "ghcr.io/example/app:1.2.3@"+digestExample),
	},
}

const registriesExample = `-- lumacore.yaml --
apiVersion: lumacore.dev/v1alpha1
kind: Config
check:
  images:
    registries: [ghcr.io/example]
`

const listReference = "https://kubernetes.io/docs/concepts/containers/images/#image-names"

const listHead = "-- images-without-digest.yaml --\napiVersion: lumacore.dev/v1alpha1\nkind: ImagesWithoutDigest\n"

const emptyListExample = listHead + "images: []\n"

func listExample(image string) string {
	return listHead + "images:\n  - image: " + image + "\n    where: cluster/objects.yaml\n    reason: not resolved yet\n"
}

func pod(image string) string { return podNamed("app", image) }

// podNamed is the example of all rules: a pod with one image.
func podNamed(name, image string) string {
	return `apiVersion: v1
kind: Pod
metadata:
  name: ` + name + `
  namespace: app
spec:
  containers:
    - name: app
      image: ` + image + `
`
}
