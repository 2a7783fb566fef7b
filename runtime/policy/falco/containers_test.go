package falco

import (
	"os"
	"path/filepath"
	"testing"
)

// TestContainerTypes tells containers of CRI-O from those of Podman, whose files are in the
// same places.
func TestContainerTypes(t *testing.T) {
	for _, c := range []struct{ annotations, kind, want, image string }{
		{`{"io.kubernetes.cri-o.ImageName": "quay.io/a/b:1", "io.kubernetes.pod.name": "p"}`, "podman", "cri-o", "quay.io/a/b:1"},
		{`{"org.opencontainers.image.ref.name": "docker.io/library/redis:7"}`, "podman", "podman", "docker.io/library/redis:7"},
		{`{"io.kubernetes.cri.image-name": "registry.k8s.io/api:v3"}`, "containerd", "containerd", "registry.k8s.io/api:v3"},
	} {
		path := filepath.Join(t.TempDir(), "config.json")
		if err := os.WriteFile(path, []byte(`{"annotations": `+c.annotations+`}`), 0o600); err != nil {
			t.Fatal(err)
		}
		var x container
		if x.config(path, c.kind); !x.found || x.Type != c.want || x.Image != c.image {
			t.Errorf("%s: type %q, image %q, want %q, %q", c.annotations, x.Type, x.Image, c.want, c.image)
		}
	}
}
