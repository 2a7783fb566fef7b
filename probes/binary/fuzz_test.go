package binary

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/ulikunitz/xz"
)

// damage changes some bytes of data after the first keep ones.
func damage(data []byte, keep int, start, step uint32, change byte) []byte {
	bad := bytes.Clone(data)
	for i, n := uint64(keep)+uint64(start), 0; i < uint64(len(bad)) && n < 200; i, n = i+uint64(step%4096)+1, n+1 {
		bad[i] ^= change
	}
	return bad
}

// FuzzSplit damages a file of split DWARF, or the package of it, and looks up all
// addresses of the program.
func FuzzSplit(f *testing.F) {
	src, err := filepath.Abs("testdata/inlined.c")
	if err != nil {
		f.Fatal(err)
	}
	dirs := map[bool]string{}
	for four, flag := range map[bool]string{true: "-gdwarf-4", false: "-gdwarf-5"} {
		dirs[four] = f.TempDir()
		tool(f, dirs[four], "gcc", "-O1", flag, "-gsplit-dwarf", "-c", "-o", "p.o", src)
		tool(f, dirs[four], "gcc", "-o", "p", "p.o")
	}
	tool(f, dirs[true], "dwp", "-e", "p", "-o", "p.dwp")
	f.Add(true, true, uint32(0), uint32(1), byte(0xff))
	f.Add(true, false, uint32(10), uint32(40), byte(1))
	f.Add(false, false, uint32(100), uint32(7), byte(0x80))
	f.Fuzz(func(t *testing.T, four, pack bool, start, step uint32, change byte) {
		name := "p.dwo"
		if pack && four {
			name = "p.dwp"
		}
		data, err := os.ReadFile(filepath.Join(dirs[four], name))
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, name), damage(data, 64, start, step, change), 0o644); err != nil {
			t.Fatal(err)
		}
		x, err := Open(filepath.Join(dirs[four], "p"))
		if err != nil {
			t.Fatal(err)
		}
		defer x.Close()
		x.Where = Where{Dirs: []string{dir}, Path: "/nowhere/p"}
		g, err := x.DebugInfo()
		if err != nil {
			return
		}
		for _, s := range x.Functions(func([]byte) bool { return true }) {
			for at := range min(s.Size, 128) {
				x.Frames(s.Addr + at)
			}
			if fn, ok := g.Function(s.Addr); ok {
				fn.Args(AMD64, s.Name, ABIC)
				fn.ParamDecls()
			}
		}
		g.Type("struct none")
		g.Addresses(SourceLine{File: "inlined.c", Line: 13})
	})
}

// FuzzMiniDebug decompresses any data.
func FuzzMiniDebug(f *testing.F) {
	var b bytes.Buffer
	if w, err := xz.NewWriter(&b); err == nil {
		w.Write(bytes.Repeat([]byte("symbols "), 1000))
		w.Close()
	}
	f.Add(b.Bytes())
	f.Add(b.Bytes()[:40])
	f.Fuzz(func(t *testing.T, data []byte) {
		const limit = 1 << 20
		if out, err := unxz(data, limit); err == nil && len(out) > limit {
			t.Errorf("%d bytes", len(out))
		}
	})
}
