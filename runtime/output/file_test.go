package output

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func write(text string) func(*os.File) error {
	return func(f *os.File) error { _, err := io.WriteString(f, text); return err }
}

// TestWriteFile checks that a failed write leaves the old file and nothing else.
func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "out")
	if err := os.WriteFile(name, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	err := WriteFile(name, func(f *os.File) error {
		io.WriteString(f, "half")
		return broken
	})
	if !errors.Is(err, broken) {
		t.Error(err)
	}
	check := func(want string) {
		t.Helper()
		if data, _ := os.ReadFile(name); string(data) != want {
			t.Errorf("the file has %q, want %q", data, want)
		}
		if list, _ := os.ReadDir(dir); len(list) != 1 {
			t.Errorf("%d files", len(list))
		}
	}
	check("old")
	if err := CheckFile(name); err != nil {
		t.Error(err)
	}
	check("old")
	if err := WriteFile(name, write("new")); err != nil {
		t.Error(err)
	}
	check("new")
	if st, err := os.Stat(name); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
}

// TestFileKinds writes to everything that a name may stand for.
func TestFileKinds(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := os.Symlink("target", at("link")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(at("fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("loop", at("loop")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name           string
		checked, wrote bool // without an error
	}{
		{at("link"), true, true},
		{at("fifo"), true, false}, // no process reads it
		{at("loop"), false, false},
		{at("none/x"), false, false},
		{at("target/x"), false, false}, // its directory is a file
		{dir, false, false},
		{"", false, false},
		{"/dev/null", true, true},
		{"/dev/full", true, false},
		{"/dev/fd/99999", false, false},
		{"/proc/1/none", false, false},
	} {
		if err := CheckFile(c.name); (err == nil) != c.checked {
			t.Errorf("CheckFile(%q): %v", c.name, err)
		}
		if err := WriteFile(c.name, write("text")); (err == nil) != c.wrote {
			t.Errorf("WriteFile(%q): %v", c.name, err)
		}
	}
	if st, err := os.Lstat(at("link")); err != nil || st.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link was replaced: %v", err)
	}
	if data, _ := os.ReadFile(at("target")); string(data) != "text" {
		t.Errorf("the target of the link has %q", data)
	}
	if list, _ := os.ReadDir(dir); len(list) != 4 {
		t.Errorf("%d files", len(list))
	}
}

// TestFIFO checks that a pipe that a process reads is written, and kept.
func TestFIFO(t *testing.T) {
	name := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := WriteFile(name, write("text")); err != nil {
		t.Fatal(err)
	}
	if data, err := io.ReadAll(r); err != nil || string(data) != "text" {
		t.Errorf("%q, %v", data, err)
	}
}

func TestSameFile(t *testing.T) {
	dir := t.TempDir()
	a, b, link := filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "link")
	if err := os.Symlink("a", link); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		x, y string
		same bool
	}{
		{a, a, true}, {a, b, false}, {a, link, true}, {link, b, false}, {filepath.Join(dir, "x/../a"), a, true},
		{"-", "/dev/stdout", true}, {"-", "/dev/fd/1", true}, {"-", "/dev/stderr", false}, {"-", a, false},
		{"/dev/null", "/dev/null", false},
	} {
		if SameFile(c.x, c.y) != c.same {
			t.Errorf("SameFile(%q, %q) is %v", c.x, c.y, !c.same)
		}
	}
}
