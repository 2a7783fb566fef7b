package binary

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
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

// FuzzSplit damages the file with the types of a program in each form, and looks up all
// addresses and types.
func FuzzSplit(f *testing.F) {
	type target struct{ dir, file string }
	var targets []target
	for _, form := range forms() {
		if form.pack == "dwp" {
			continue
		}
		dir := f.TempDir()
		form.build(f, dir, "gcc", "types1.c", "types2.c")
		file := "p"
		if form.pack != "" {
			file = "p.dwp"
		} else if strings.Contains(form.flags, "-gsplit-dwarf") {
			file = "p0.dwo"
		}
		targets = append(targets, target{dir, file})
	}
	for i := range targets {
		f.Add(uint8(i), uint32(10*i), uint32(1+7*i), byte(0xff))
		f.Add(uint8(i), uint32(100*i), uint32(40), byte(1))
	}
	f.Fuzz(func(t *testing.T, which uint8, start, step uint32, change byte) {
		in := targets[int(which)%len(targets)]
		data, err := os.ReadFile(filepath.Join(in.dir, in.file))
		if err != nil {
			t.Fatal(err)
		}
		dir, exe := t.TempDir(), filepath.Join(in.dir, "p")
		bad := filepath.Join(dir, in.file)
		if err := os.WriteFile(bad, damage(data, 64, start, step, change), 0o755); err != nil {
			t.Fatal(err)
		}
		if in.file == "p" {
			exe = bad
		}
		x, err := Open(exe)
		if err != nil {
			return
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
				if args := fn.Args(AMD64, s.Name, s.Name, ABIC); args != nil {
					for _, m := range args.Members() {
						layout(m.Type, 4)
					}
				}
				fn.ParamDecls()
			}
		}
		for _, name := range []string{"struct none", "struct inner", "struct node", "pair"} {
			if ty := g.Type(name); ty != nil {
				layout(ty, 4)
			}
		}
		g.Addresses(SourceLine{File: "types2.c", Line: 10})
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
