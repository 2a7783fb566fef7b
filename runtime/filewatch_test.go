package runtime

import (
	"slices"
	"testing"

	"github.com/gotrace/gotrace/runtime/symbols"
)

// TestSilentFiles maps files on a file system that does not answer, and on another one.
func TestSilentFiles(t *testing.T) {
	var found []string
	w := &fileWatch{proc: t.TempDir(), found: func(_ int, m symbols.Mapping) { found = append(found, m.Path) }}
	release := w.devices.Hang("/dead/")
	defer release()
	see := func(dev, path string) { w.see(1, symbols.Mapping{Dev: dev, Path: path}) }
	see("00:2a", "/dead/a")
	see("08:01", "/good/a")
	see("00:2a", "/dead/b")
	see("", "/started/by/us")
	see("00:00", "")
	if len(found) != 3 || len(w.silent) != 2 {
		t.Fatalf("found %q, %d files wait", found, len(w.silent))
	}
	release()
	for found = nil; len(found) < 2; {
		w.again()
	}
	slices.Sort(found) // the answer may come between the two
	if found[0] != "/dead/a" || found[1] != "/dead/b" || len(w.silent) != 0 {
		t.Errorf("found %q, %d files wait", found, len(w.silent))
	}
}
