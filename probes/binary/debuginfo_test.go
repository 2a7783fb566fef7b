package binary

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
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
					if args := fn.Args(a, s.Name, s.Name, abi); args != nil {
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

// TestWidePlace checks that an __int128 parameter is read where the calling convention
// passes it, also if the function moves it first and the debug info has only that place.
func TestWidePlace(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the registers are those of amd64")
	}
	dir := t.TempDir()
	src := filepath.Join(dir, "w.c")
	code := `__int128 wide(__int128 w, int x) { __asm__ volatile("":::"memory"); return w + x; } int main(void) { return wide(1, 2); }`
	if err := os.WriteFile(src, []byte(code), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, level := range []string{"-O0", "-O1", "-O2"} {
		if out, err := exec.Command("gcc", "-g", level, "-o", src+".out", src).CombinedOutput(); err != nil {
			t.Skipf("%v: %s", err, out)
		}
		x, err := Open(src + ".out")
		if err != nil {
			t.Fatal(err)
		}
		g, err := x.DebugInfo()
		if err != nil {
			t.Fatal(err)
		}
		fn, _ := g.Function(x.Named("wide")[0].Addr)
		got := showParts(fn.Args(AMD64, "wide", "wide", ABIC).Members()[0].Loc, AMD64.regs.Get()["di"])
		if !strings.HasPrefix(got, "[0+8@di 8+8") {
			t.Errorf("%s: %s", level, got)
		}
		x.Close()
	}
}
