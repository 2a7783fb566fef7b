package falco

import (
	"os"
	"path/filepath"
	"testing"
)

// TestContainerTypes distinguishes containers of CRI-O and Podman, whose files are in the
// same places.
func TestContainerTypes(t *testing.T) {
	for _, c := range []struct{ annotations, kind, want, image string }{
		{`{"io.kubernetes.cri-o.ImageName": "images.example/a/b:1", "io.kubernetes.pod.name": "p"}`, "podman", "cri-o", "images.example/a/b:1"},
		{`{"org.opencontainers.image.ref.name": "images.example/library/redis:7"}`, "podman", "podman", "images.example/library/redis:7"},
		{`{"io.kubernetes.cri.image-name": "images.example/api:v3"}`, "containerd", "containerd", "images.example/api:v3"},
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
