package binary

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// FuzzDebugInfo changes bytes of a program and calls everything that reads its debug
// info. Nothing may panic or loop forever.
func FuzzDebugInfo(f *testing.F) {
	f.Add(uint32(0), uint32(1), byte(0xff))
	f.Add(uint32(100), uint32(7), byte(0x01))
	bin := filepath.Join(f.TempDir(), "target")
	cmd := exec.Command("gcc", "-g", "-O1", "-o", bin, "../../tests/live/testdata/params/params.c")
	if out, err := cmd.CombinedOutput(); err != nil {
		f.Skipf("%v: %s", err, out)
	}
	data, err := os.ReadFile(bin)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, start, step uint32, change byte) {
		bad := append([]byte(nil), data...)
		for i, n := uint64(start), 0; i < uint64(len(bad)) && n < 200; i, n = i+uint64(step%4096)+1, n+1 {
			if i > 64 { // the ELF header stays
				bad[i] ^= change
			}
		}
		path := filepath.Join(t.TempDir(), "bad")
		if err := os.WriteFile(path, bad, 0o755); err != nil {
			t.Fatal(err)
		}
		x, err := Open(path)
		if err != nil {
			return
		}
		defer x.Close()
		for _, s := range x.Functions(func([]byte) bool { return true }) {
			for at := range min(s.Size, 64) {
				x.At(s.Addr + at)
				x.Frames(s.Addr + at)
			}
		}
		g, err := x.DebugInfo()
		if err != nil {
			return
		}
		for _, s := range x.Functions(func([]byte) bool { return true }) {
			fn, ok := g.Function(s.Addr)
			if !ok {
				continue
			}
			for _, a := range []*Arch{AMD64, ARM64} {
				for _, abi := range []ABI{ABIC, ABIGo, ABIGoDict, ABIGoRecvDict, ABIGoStack} {
					if args := fn.Args(a, s.Name, abi); args != nil {
						for _, m := range args.Members() {
							_ = m.Type.String()
						}
					}
				}
			}
			fn.Results(AMD64, s.Name, ABIGo)
			fn.Result()
			fn.ResultDecl()
			fn.ParamDecls()
		}
		for name := range g.typeNames() {
			if ty := g.Type(name); ty != nil {
				ty.Members()
			}
		}
		g.Addresses(SourceLine{File: "params.c", Line: 19})
	})
}
