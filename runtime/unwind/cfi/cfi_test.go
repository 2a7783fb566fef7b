package cfi

import (
	"bufio"
	"debug/elf"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

var all = flag.Bool("all", false, "compare all programs and libraries of this machine with readelf")

// TestAgainstReadelf compares the rows of programs and libraries with those that
// readelf shows.
func TestAgainstReadelf(t *testing.T) {
	if _, err := exec.LookPath("readelf"); err != nil {
		t.Skip("needs readelf")
	}
	var files []string
	for _, dir := range []string{"/usr/bin", "/usr/sbin", "/usr/lib", "/usr/libexec"} {
		filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return nil
			}
			info, err := d.Info()
			if err != nil || info.Size() < 4096 {
				return nil
			}
			name := d.Name()
			usual := strings.HasPrefix(name, "libc.so") || strings.HasPrefix(name, "ld-") || strings.HasPrefix(name, "libcrypto.") || name == "bash" || name == "ls" || strings.HasPrefix(name, "libgcc_s") || strings.HasPrefix(name, "libstdc++.so")
			if *all || usual {
				files = append(files, path)
			}
			return nil
		})
	}
	rows, unknown := 0, 0
	for _, path := range files {
		f, err := os.Open(path)
		if err != nil {
			continue
		}
		got, err := ReadFile(f, nil, nil)
		f.Close()
		if got == nil {
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		n, u := compareWithReadelf(t, path, got)
		rows, unknown = rows+n, unknown+u
	}
	t.Logf("%d files, %d rows, %d unknown rows", len(files), rows, unknown)
	if rows == 0 {
		t.Error("nothing was compared")
	}
}

var regNames = []string{"rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "ra"}

func compareWithReadelf(t *testing.T, path string, got *File) (rows, unknown int) {
	cmd := exec.Command("readelf", "-W", "--debug-dump=frames-interp", path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	sc := bufio.NewScanner(out)
	sc.Buffer(make([]byte, 1<<20), 1<<20)
	var cols []string
	fde, signal, eh := false, false, true
	signalCIE := map[string]bool{}
	bad, end := 0, uint64(0)
	for sc.Scan() {
		line := sc.Text()
		f := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, "Contents of the"):
			eh = strings.Contains(line, ".eh_frame")
			continue
		case len(f) >= 4 && f[3] == "CIE":
			fde = false
			signalCIE[f[0]] = len(f) > 4 && strings.Contains(f[4], "S")
			continue
		case len(f) >= 6 && f[3] == "FDE":
			fde = true
			cie := strings.TrimPrefix(f[4], "cie=")
			signal = signalCIE[cie]
			_, to, _ := strings.Cut(f[5], "..")
			end, _ = strconv.ParseUint(to, 16, 64)
			continue
		case len(f) > 1 && f[0] == "LOC":
			cols = f[1:]
			continue
		}
		if !fde || !eh || len(f) != len(cols)+1 || len(f[0]) != 16 {
			continue
		}
		pc, err := strconv.ParseUint(f[0], 16, 64)
		if err != nil || pc >= end {
			continue
		}
		rows++
		r := got.At(pc)
		if r.Kind == Unknown {
			unknown++
		}
		if wrong := differs(r, cols, f[1:], signal); wrong != "" {
			if bad++; bad < 10 {
				t.Errorf("%s: %#x: %s: %+v, readelf has %s of %s", path, pc, wrong, r, f[1:], cols)
			}
		}
	}
	return rows, unknown
}

// differs compares a rule with readelf's columns. Expressions are shown as exp.
func differs(r Rule, cols, vals []string, signal bool) string {
	get := func(name string) string {
		for i, c := range cols {
			if c == name {
				return vals[i]
			}
		}
		return ""
	}
	if get("ra") == "u" {
		if r.Kind != End {
			return "not the end"
		}
		return ""
	}
	if r.Kind == Unknown && get("rsp") != "" { // setcontext: all registers are in memory
		return ""
	}
	switch cfa := get("CFA"); {
	case cfa == "exp":
		if r.Kind != Deref && r.Kind != PLT && r.Kind != Signal && r.Kind != Unknown {
			return "CFA"
		}
		if r.Kind == Unknown {
			return ""
		}
	default:
		if r.Kind != Register || int(r.Reg) >= len(regNames) || fmt.Sprintf("%s%+d", regNames[r.Reg], r.CFA) != cfa {
			return "CFA"
		}
	}
	if ra := get("ra"); ra != fmt.Sprintf("c%+d", r.RA) && !(ra == "exp" && signal && r.Kind == Signal) {
		return "RA"
	}
	for _, c := range []struct {
		name string
		how  Save
		off  int16
	}{{"rbp", r.FP, r.FPOff}, {"rbx", r.BX, r.BXOff}} {
		want := get(c.name)
		ok := false
		switch want {
		case "", "u", "s":
			ok = c.how == Same || c.how == Lost
		case "exp":
			ok = c.how == AtSP || c.how == AtFP || c.how == AtCFA || c.how == Lost
		default:
			ok = c.how == AtCFA && want == fmt.Sprintf("c%+d", c.off) || c.how == Lost
		}
		if !ok {
			return c.name
		}
	}
	return ""
}

func TestRules(t *testing.T) {
	for _, c := range []struct {
		expr string // bytes
		want address
	}{
		{"\x77\x08\x80\x00\x3f\x1a\x3b\x2a\x33\x24\x22", address{PLT, 7, 8, 11}},
		{"\x77\xa0\x01\x06", address{Deref, 7, 160, 0}},
		{"\x76\x78\x06", address{Deref, 6, -8, 0}},
		{"\x77\x08\x06\x23\x08", address{Deref, 7, 8, 8}},
		{"\x77\x08\x23\x08", address{Register, 7, 16, 0}},
		{"\x77\x08\x38\x22", address{Register, 7, 16, 0}},
		{"\x77\x08\x06\x06", address{kind: Unknown}},
		{"\x38", address{kind: Unknown}},
		{"", address{kind: Unknown}},
		{"\x77", address{kind: Unknown}},
	} {
		if got := AMD64.address([]byte(c.expr)); got != c.want {
			t.Errorf("%x: %+v, want %+v", c.expr, got, c.want)
		}
	}
}

// TestEntry checks that the code that starts a program has no caller, though no table
// describes it.
func TestEntry(t *testing.T) {
	const loader = "/lib64/ld-linux-x86-64.so.2"
	r, err := os.Open(loader)
	if err != nil {
		t.Skip(err)
	}
	defer r.Close()
	e, err := elf.NewFile(r)
	if err != nil {
		t.Fatal(err)
	}
	f, err := ReadFile(r, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := f.At(e.Entry + 7).Kind; got != End {
		t.Errorf("%s starts at %#x, whose rule is %v, want End", loader, e.Entry, got)
	}
}

// FuzzRead reads arbitrary sections: it must end, with an error or not, and the rows
// must be in order.
func FuzzRead(f *testing.F) {
	if e, err := elf.Open("/proc/self/exe"); err == nil {
		for _, name := range []string{".eh_frame", ".debug_frame"} {
			if s := e.Section(name); s != nil {
				if data, err := s.Data(); err == nil {
					f.Add(data[:min(len(data), 4096)], name == ".debug_frame")
				}
			}
		}
	}
	if e, err := elf.Open("/usr/bin/ls"); err == nil {
		if s := e.Section(".eh_frame"); s != nil {
			if data, err := s.Data(); err == nil {
				f.Add(data[:min(len(data), 4096)], false)
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, debug bool) {
		var rows Rows
		err := rows.Read(Section{Data: data, Addr: 0x1000, Debug: debug, Arch: AMD64})
		if err != nil && !errors.Is(err, ErrFormat) {
			t.Fatal(err)
		}
		for i := 1; i < len(rows.List); i++ {
			if rows.List[i].PC <= rows.List[i-1].PC {
				t.Fatalf("row %d is not after the one before", i)
			}
		}
		if n := len(rows.List); n > 2*len(data)+2 {
			t.Fatalf("%d rows of %d bytes", n, len(data))
		}
	})
}
