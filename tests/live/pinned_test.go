package live

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestPinnedIterator checks that the text of a pinned iterator is read from its file, after
// the session has ended.
func TestPinnedIterator(t *testing.T) {
	dir := filepath.Join("/sys/fs/bpf", fmt.Sprintf("gotrace%d", os.Getpid()))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Skipf("no BPF file system: %v", err)
	}
	defer os.RemoveAll(dir)
	format := "%d|%6d|%-6d|%06d|%x|%lx|%u%%\n"
	args := "ctx.task.pid, 42, -42, 42, -1, -1, (uint64)-1"
	own := fmt.Sprintf("%d|    42|-42   |000042|ffffffff|ffffffffffffffff|18446744073709551615%%", os.Getpid())
	name := filepath.Join(dir, "tasks")
	script := fmt.Sprintf(`begin { printf("b\n"); } iter:task:%s { printf(%q, %s); } end { printf("e\n"); }`, name, format, args)
	r := trace(t, "-q", "-e", script)
	if r.status != 0 || withoutBlank(r.stdout) != "b\ne\n" {
		t.Fatalf("status %d, stdout %q, stderr %q", r.status, r.stdout, r.stderr)
	}
	for range 2 {
		text, err := os.ReadFile(name)
		if err != nil || !slices.Contains(strings.Split(string(text), "\n"), own) {
			t.Errorf("%v: no line %q in %q", err, own, text)
		}
	}
	if *peer {
		return
	}
	if want := "Program pinned to " + name; !strings.Contains(r.stderr, want) {
		t.Errorf("stderr %q, want %q", r.stderr, want)
	}
	if r := trace(t, "-q", "-e", script); r.status != 1 || !strings.Contains(r.stderr, name+" exists already") {
		t.Errorf("again: status %d, stderr %q", r.status, r.stderr)
	}
	dry := filepath.Join(dir, "dry")
	if r := trace(t, "-q", "--dry-run", "-e", `iter:task:`+dry+` { printf("x"); }`); r.status != 0 {
		t.Errorf("dry run: status %d, stderr %q", r.status, r.stderr)
	}
	if _, err := os.Stat(dry); err == nil {
		t.Error("a dry run leaves a file")
	}
	words := filepath.Join(dir, "words")
	r = trace(t, "-q", "-e", `iter:task:`+words+` { printf("[%-10s|%8s]\n", "left", "right"); }`)
	if strings.Contains(r.stderr, "needs Linux 5.12") {
		return
	}
	text, err := os.ReadFile(words)
	if want := "[left      |   right]\n"; err != nil || !strings.HasPrefix(string(text), want) {
		t.Errorf("%v, %q, stderr %q, want %q", err, text, r.stderr, want)
	}
}
