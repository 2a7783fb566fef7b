package symbols

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/gotrace/gotrace/probes/binary"
)

// TestShortenedFile shortens a file that is being read. The rest of its mapping faults
// then, which must not end this process.
func TestShortenedFile(t *testing.T) {
	exe := program(t, shapes, "-g")
	data, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "p")
	if err := os.WriteFile(name, data, 0o755); err != nil {
		t.Fatal(err)
	}
	x, err := binary.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name, 64); err != nil {
		t.Fatal(err)
	}
	f := &file{x: x}
	if s, ok := f.symbol(0x1180); ok {
		t.Errorf("found %+v", s)
	}
	if list := f.debug(0x1180); len(list) > 0 {
		t.Errorf("found %+v", list)
	}
	if f.x != nil {
		t.Error("the file is still used")
	}
}
