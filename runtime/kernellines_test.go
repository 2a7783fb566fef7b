package runtime

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	file "github.com/gotrace/gotrace/probes/binary"
	"github.com/gotrace/gotrace/runtime/value"
)

// TestKernelLines looks up addresses of a kernel that is a program of the test, loaded
// elsewhere.
func TestKernelLines(t *testing.T) {
	dir := t.TempDir()
	vmlinux := filepath.Join(dir, "vmlinux")
	cmd := exec.Command("gcc", "-g", "-O1", "-no-pie", "-Wl,--build-id", "-Wl,--defsym=_text=__executable_start", "-o", vmlinux, "../probes/binary/testdata/inlined.c")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("%v: %s", err, out)
	}
	x, err := file.Open(vmlinux)
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	start, ok := x.Symbol("_text")
	if !ok {
		t.Fatal("no _text")
	}
	const text = 0xffffffff81000000
	paths := []string{filepath.Join(dir, "none"), vmlinux}
	if k := openKernelLines(paths, "00"+x.BuildID(), text); k.x != nil {
		t.Error("the file of another kernel was opened")
	}
	k := openKernelLines(paths, x.BuildID(), text)
	if k.x == nil {
		t.Fatal("the file was not opened")
	}
	work := x.Named("work")[0]
	frames := func(f value.Frame, returned bool) string {
		var out []string
		for _, f := range k.frames(f, returned) {
			out = append(out, fmt.Sprintf("%s@%s:%d,%v", f.Name, filepath.Base(f.File), f.Line, f.Inlined))
		}
		return strings.Join(out, " ")
	}
	const call = "inner@inlined.c:13,true outer@inlined.c:18,true work@inlined.c:23,false"
	found := false
	for pc := work.Addr; pc < work.Addr+work.Size; pc++ {
		f := value.Frame{Addr: pc - start.Addr + text, Name: "work", Module: "vmlinux"}
		if frames(f, false) != call {
			continue
		}
		found = true
		f.Addr++
		if got := frames(f, true); got != call {
			t.Errorf("a return address after %#x: %s", pc, got)
		}
		f.Module = "module"
		if got := frames(f, false); got != "work@.:0,false" {
			t.Errorf("in a module: %s", got)
		}
	}
	if !found {
		t.Error("no call of leaf was found")
	}
	if got := (&kernelLines{}).frames(value.Frame{Name: "f"}, true); len(got) != 1 || got[0].Name != "f" {
		t.Errorf("without debug information: %+v", got)
	}
}
