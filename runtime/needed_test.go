package runtime

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/gotrace/gotrace/runtime/symbols"
	"github.com/gotrace/gotrace/tests/testkit"
)

// TestFilesOfProgram compares the files found for a program with those that it has
// mapped when it runs.
func TestFilesOfProgram(t *testing.T) {
	cat, err := exec.LookPath("cat")
	if err != nil {
		t.Skip(err)
	}
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#!"+cat+" -\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(cat)
	in, out := testkit.Start(t, cmd)
	defer cmd.Wait()
	defer in.Close()
	in.Write([]byte("x"))
	if _, err := out.Read(make([]byte, 1)); err != nil { // it runs
		t.Fatal(err)
	}
	var want []string
	for _, m := range symbols.Executable("/proc", cmd.Process.Pid) {
		if m.Inode != "0" && m.Inode != "" {
			want = append(want, m.Path+" "+m.Dev+" "+m.Inode)
		}
	}
	slices.Sort(want)
	want = slices.Compact(want)
	for _, path := range []string{cat, script} {
		var got []string
		for _, m := range asMapped(filesOfProgram(path)) {
			got = append(got, m.Path+" "+m.Dev+" "+m.Inode)
		}
		slices.Sort(got)
		if len(want) < 2 || !slices.Equal(got, want) {
			t.Errorf("%s:\n%q, want\n%q", path, got, want)
		}
	}
	for _, path := range []string{"/nosuch", "/dev/null", t.TempDir()} {
		if got := asMapped(filesOfProgram(path)); len(got) != 0 {
			t.Errorf("%s: %v", path, got)
		}
	}
}
