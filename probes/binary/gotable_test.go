package binary

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/gotrace/gotrace/runtime/unwind/cfi"
	"github.com/gotrace/gotrace/tests/testkit"
)

// goFixtures lists ways to build a Go program.
var goFixtures = []string{
	"", "-ldflags=-s -w", "-buildmode=pie", "-buildmode=pie -ldflags=-s -w",
	"-buildmode=pie -ldflags=-s -w -linkmode=external", "-ldflags=-s -w -linkmode=external",
}

// buildGo builds the Go fixture. GOTRACE_TEST_GO selects another Go release for the
// build than that of the tests.
func buildGo(t testing.TB, flags string) string {
	t.Helper()
	exe := filepath.Join(t.TempDir(), "p")
	args := []string{"go", "build", "-o", exe}
	before, ldflags, found := strings.Cut(flags, "-ldflags=")
	args = append(args, strings.Fields(before)...)
	if found {
		args = append(args, "-ldflags="+ldflags)
	}
	dir := t.TempDir()
	src, err := os.ReadFile("testdata/gofixture/main.go")
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]string{"main.go": string(src), "go.mod": "module gofixture\n\ngo 1.16\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if release := os.Getenv("GOTRACE_TEST_GO"); release != "" {
		t.Setenv("GOTOOLCHAIN", release)
		t.Setenv("GOENV", "off")
	}
	testkit.Run(t, dir, append(args, "main.go")...)
	return exe
}

// TestGoTable looks up a call in inlined functions of Go programs, stripped or not.
func TestGoTable(t *testing.T) {
	for _, flags := range goFixtures {
		t.Run(flags, func(t *testing.T) {
			x, err := Open(buildGo(t, flags))
			if err != nil {
				t.Fatal(err)
			}
			defer x.Close()
			g := x.goTable.Get()
			if g == nil {
				t.Fatal("no table")
			}
			funcs := map[string]goFunc{}
			for i := range g.n {
				addr, _ := g.entry(i)
				if f, ok := g.function(addr); ok {
					funcs[f.name] = f
				}
			}
			if s := x.Named("main.work"); len(s) != 1 || s[0].Addr != funcs["main.work"].addr {
				t.Errorf("main.work is %+v", s)
			}
			work, leaf := funcs["main.work"], funcs["main.leaf"]
			off, ok := x.CodeOffset(work.addr)
			if !ok {
				t.Fatalf("main.work is at %#x, which is not code", work.addr)
			}
			code := x.data[off : off+work.end-work.addr]
			for i := 0; i+5 <= len(code); i++ {
				pc := work.addr + uint64(i)
				if code[i] != 0xe8 || pc+5+uint64(int64(int32(binary.LittleEndian.Uint32(code[i+1:])))) != leaf.addr {
					continue
				}
				const want = "[inlined] main.inner@main.go:16 [inlined] main.outer@main.go:19 main.work@main.go:23"
				if got := frameText(x.Frames(pc)); got != want {
					t.Errorf("frames %q, want %q", got, want)
				}
				if s, ok := x.At(pc); !ok || s.Name != "main.work" || s.Addr != work.addr {
					t.Errorf("%#x is in %+v, %v", pc, s, ok)
				}
				return
			}
			t.Error("no call of main.leaf in main.work")
		})
	}
}

// FuzzGoTable changes the table of a Go program and looks addresses up in it.
func FuzzGoTable(f *testing.F) {
	x, err := Open(buildGo(f, "-ldflags=-s -w"))
	if err != nil {
		f.Fatal(err)
	}
	s := x.elf.Section(".gopclntab")
	f.Add(uint32(0), uint32(1), byte(0xff), uint64(0x1000))
	f.Add(uint32(40), uint32(7), byte(1), uint64(0x10))
	f.Fuzz(func(t *testing.T, start, step uint32, change byte, at uint64) {
		bad := append([]byte(nil), x.bytesOf(s)...)
		for i, n := uint64(start), 0; i < uint64(len(bad)) && n < 200; i, n = i+uint64(step%4096)+1, n+1 {
			if i >= 4 { // the magic number stays
				bad[i] ^= change
			}
		}
		g := x.goTableAt(bad, s.Addr)
		if g == nil {
			return
		}
		g.symbols()
		g.functions(func(f cfi.GoFunction) {
			last := f.Start
			f.Depths(func(end uint64, _ int32) bool {
				ok := last < end
				last = end
				return ok
			})
		})
		for i := range uint64(64) {
			g.frames(g.text + at%0x100000 + i*1000)
		}
	})
}

// TestGoVersion reads the version of Go in a file as written by the linkers of Go 1.18
// and of earlier releases.
func TestGoVersion(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	x, err := Open(self)
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	if got, want := x.goVersion(), runtime.Version(); !strings.HasPrefix(want, got) || got == "" {
		t.Errorf("got %q, want %q", got, want)
	}
	data := bytes.Clone(x.data)
	section := x.elf.Section(".go.buildinfo")
	info, order := data[section.Offset:][:section.Size], binary.LittleEndian
	info[15] = 0
	order.PutUint64(info[16:], section.Addr+32) // the string's header
	order.PutUint64(info[32:], section.Addr+48) // its text
	order.PutUint64(info[40:], 6)
	copy(info[48:], "go1.17 ")
	path := filepath.Join(t.TempDir(), "old")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	old, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	if got := old.goVersion(); got != "go1.17" || old.goRelease.Get() != 17 {
		t.Errorf("got %q, release %d", got, old.goRelease.Get())
	}
	// Damaged files have none.
	for _, change := range []func(info []byte){
		func(info []byte) { order.PutUint64(info[40:], 1<<60) },
		func(info []byte) { order.PutUint64(info[32:], 1) },
		func(info []byte) { order.PutUint64(info[16:], 1<<63) },
		func(info []byte) { info[15] = 2; copy(info[32:], bytes.Repeat([]byte{0xff}, 11)) }, // the length is not a number
		func(info []byte) { info[0] = 'x' },
	} {
		bad := bytes.Clone(data)
		change(bad[section.Offset:][:section.Size])
		if err := os.WriteFile(path, bad, 0o644); err != nil {
			t.Fatal(err)
		}
		y, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := y.goVersion(); strings.Contains(got, "go1") {
			t.Errorf("got %q of a damaged file", got)
		}
		y.Close()
	}
}
