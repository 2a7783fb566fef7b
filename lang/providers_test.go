package lang

import (
	"bytes"
	"compress/flate"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write providers.bin")

// TestProviderFiles checks that the program has the files of the directory.
func TestProviderFiles(t *testing.T) {
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	var providers []string
	for _, pattern := range []string{"providers/*.bt", "providers/shared/*.bt"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			name := strings.TrimSuffix(strings.TrimPrefix(file, "providers/"), ".bt")
			if !strings.Contains(name, "/") {
				providers = append(providers, name)
			}
			want[name] = string(text)
			fmt.Fprintf(w, "%s\n%d\n%s", name, len(text), text)
		}
	}
	w.Close()
	if *update {
		if err := os.WriteFile("providers.bin", out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !maps.Equal(want, providerTexts.Get()) {
		t.Error("providers.bin is out of date: go test ./lang -run TestProviderFiles -update")
	}
	if !slices.Equal(providerNames, providers) {
		t.Errorf("%q, the files are %q", providerNames, providers)
	}
	for _, name := range shared {
		if want["shared/"+name] == "" {
			t.Errorf("there is no file %q of macros", name)
		}
	}
}
