package probes

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestCutHomonym(t *testing.T) {
	for _, c := range []struct {
		in, name string
		n        uint64
		file     string
		wrong    bool
	}{
		{"f", "f", 0, "", false},
		{"f#1", "f", 1, "", false},
		{"f#65535", "f", 65535, "", false},
		{"f@a.c", "f", 0, "a.c", false},
		{in: "f#0", wrong: true}, {in: "f#", wrong: true}, {in: "f#x", wrong: true}, {in: "f#-1", wrong: true}, {in: "f#65536", wrong: true},
		{in: "#1", wrong: true}, {in: "@a.c", wrong: true}, {in: "f@", wrong: true},
	} {
		name, n, file, err := cutHomonym(c.in)
		if (err != nil) != c.wrong || err == nil && (name != c.name || n != c.n || file != c.file) {
			t.Errorf("%s: %q, %d, %q, %v", c.in, name, n, file, err)
		}
	}
}

// homonymKernel is a kernel with several functions f.
type homonymKernel struct {
	Kernel
	text  uint64
	addrs []uint64
}

func (k homonymKernel) Homonyms(_, name string) []uint64 {
	if name == "f" {
		return k.addrs
	}
	return nil
}

func (k homonymKernel) Symbol(name string) (uint64, bool) { return k.text, name == "_text" }

// TestHomonymOf finds the source files of functions in a program that represents the
// kernel's file with symbols.
func TestHomonymOf(t *testing.T) {
	cc, err := exec.LookPath("cc")
	if err != nil {
		t.Skip("no C compiler")
	}
	dir := t.TempDir()
	args := []string{"-O0", "-nostdlib", "-no-pie", "-o", filepath.Join(dir, "vmlinux")}
	for name, text := range map[string]string{
		"one.c": "__attribute__((used)) static int f(void) { return 1; }",
		"two.c": "__attribute__((used)) static int f(void) { return 2; } int g(void) { return 3; }",
		"top.S": ".globl _text, _start\n_text: _start: ret\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		args = append(args, path)
	}
	if out, err := exec.Command(cc, args...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	found, err := sourceFiles(filepath.Join(dir, "vmlinux"), "f")
	if err != nil || len(found) != 2 {
		t.Fatalf("%v, %v", found, err)
	}
	k := homonymKernel{text: 0xffffffff81000000}
	for off := range found {
		k.addrs = append(k.addrs, k.text+off)
	}
	slices.Sort(k.addrs)
	e := &Env{Kernel: k, DebugInfo: dir}
	for _, file := range []string{"one.c", "two.c"} {
		n, err := homonymOf(e, "f", file, k.addrs)
		if err != nil || found[k.addrs[max(n, 1)-1]-k.text] != file {
			t.Errorf("%s: %d, %v", file, n, err)
		}
		ps, err := expandHomonyms(e, &Point{Kind: Lookup("kprobe"), Func: "f", Mode: file})
		if err != nil || len(ps) != 1 || ps[0].Count != n || ps[0].Name != "kprobe:"+homonym("f", n) || ps[0].Mode != "" {
			t.Errorf("%s: %+v, %v", file, ps, err)
		}
	}
	if _, err := homonymOf(e, "f", "three.c", k.addrs); err == nil || !strings.Contains(err.Error(), "are in one.c, two.c") {
		t.Errorf("three.c: %v", err)
	}
}
