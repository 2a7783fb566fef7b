package symbols

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"reflect"
)

//go:noinline
func landmark() int { return os.Getpid() }

func TestOwnFunction(t *testing.T) {
	if landmark() == 0 {
		t.Fatal()
	}
	u := NewUser(Options{})
	pc := uint64(reflect.ValueOf(landmark).Pointer())
	f, ok := u.Lookup(os.Getpid(), pc+3)
	if !ok || !strings.HasSuffix(f.Name, "symbols.landmark") || f.Offset != 3 {
		t.Errorf("found %+v, %v", f, ok)
	}
	exe, _ := os.Executable()
	if f.Module != exe {
		t.Errorf("module %q, want %q", f.Module, exe)
	}
	if f, ok := u.Lookup(os.Getpid(), 0x10); ok || f.Module != "" {
		t.Errorf("address 0x10 is %+v", f)
	}
	if _, ok := u.Lookup(os.Getpid(), 0); ok {
		t.Error("address 0 has a function")
	}
	if _, ok := u.Lookup(0, pc); ok {
		t.Error("process 0 has a function")
	}
	if _, ok := u.Lookup(1<<30, pc); ok {
		t.Error("a process that is not there has a function")
	}
}

// program builds a C program. It skips the test if there is no compiler.
func program(t *testing.T, src string, flags ...string) string {
	t.Helper()
	cc, err := exec.LookPath("cc")
	if err != nil {
		t.Skip("needs a C compiler")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "p.cc")
	if err := os.WriteFile(file, []byte(src), 0o644); err != nil {
		t.Fatal(err)
	}
	exe := filepath.Join(dir, "p")
	args := append([]string{"-x", "c++", "-O1", "-o", exe, file}, flags...)
	if out, err := exec.Command(cc, args...).CombinedOutput(); err != nil {
		t.Skipf("cannot build: %v\n%s", err, out)
	}
	return exe
}

// shapes prints the addresses of its functions and waits.
const shapes = `
#include <cstdio>
namespace ns { __attribute__((noinline)) int area(int w, int h) { asm volatile(""); return w * h; } }
extern "C" __attribute__((noinline)) int plain(int x) { asm volatile(""); return x + 1; }
int main() {
	printf("%p %p\n", (void *)ns::area, (void *)plain);
	fflush(stdout);
	getchar();
	return ns::area(plain(1), 2) == 0;
}
`

// running starts a program and reads the addresses that it prints.
func running(t *testing.T, exe string) (pid int, area, plain uint64, stop func()) {
	t.Helper()
	cmd := exec.Command(exe)
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fscanf(out, "0x%x 0x%x\n", &area, &plain); err != nil {
		t.Fatal(err)
	}
	stop = func() { in.Close(); cmd.Wait() }
	t.Cleanup(stop)
	return cmd.Process.Pid, area, plain, stop
}

func TestPrograms(t *testing.T) {
	for _, kind := range [][]string{{"-fPIE", "-pie"}, {"-no-pie"}, {"-fPIE", "-pie", "-rdynamic", "-s"}} {
		t.Run(strings.Join(kind, " "), func(t *testing.T) {
			exe := program(t, shapes, kind...)
			pid, area, plain, stop := running(t, exe)
			u := NewUser(Options{Demangle: true})
			expect := func(when string) {
				t.Helper()
				if f, ok := u.Lookup(pid, area+1); !ok || f.Name != "ns::area(int, int)" || f.Offset != 1 || f.Module != exe {
					t.Errorf("%s: area is %+v, %v", when, f, ok)
				}
				if f, ok := u.Lookup(pid, plain); !ok || f.Name != "plain" || f.Offset != 0 {
					t.Errorf("%s: plain is %+v, %v", when, f, ok)
				}
			}
			expect("running")
			stop()
			time.Sleep(2 * stale)
			expect("gone")
			if f, ok := NewUser(Options{}).Lookup(pid, plain); ok {
				t.Errorf("a process that was never seen has %+v", f)
			}
		})
	}
}

// TestAliases checks that of several names of a function the one that callers use
// is shown, and that a function within another ends at its own end.
func TestAliases(t *testing.T) {
	var strs []byte
	table := &table{}
	add := func(addr uint64, size uint32, flags uint32, name string) {
		table.syms = append(table.syms, symbol{addr, size, uint32(len(strs)) | flags})
		strs = append(append(strs, name...), 0)
		table.strings = [][]byte{strs}
	}
	add(0x100, 0x80, localName, "__GI___libc_malloc")
	add(0x100, 0x80, 0, "__libc_malloc")
	add(0x100, 0x80, 0, "malloc")
	add(0x120, 0x10, localName, "inner")
	add(0x200, 0, localName, "mark")
	add(0x200, 0x10, localName, "_longer")
	add(0x200, 0x10, localName, "_short")
	table.sort()
	for addr, want := range map[uint64]string{
		0x100: "malloc+0", 0x11f: "malloc+31", 0x120: "inner+0", 0x12f: "inner+15", 0x130: "malloc+48", 0x17f: "malloc+127",
		0x180: "", 0xff: "", 0x200: "_short+0", 0x210: "",
	} {
		name, off, ok := table.at(addr)
		if got := fmt.Sprintf("%s+%d", name, off); ok && got != want || ok == (want == "") {
			t.Errorf("%#x is %s, %v; want %s", addr, got, ok, want)
		}
	}
}

func TestMangledNames(t *testing.T) {
	exe := program(t, shapes)
	pid, area, _, _ := running(t, exe)
	if f, ok := NewUser(Options{}).Lookup(pid, area); !ok || f.Name != "_ZN2ns4areaEii" {
		t.Errorf("area is %+v, %v", f, ok)
	}
}

// TestDeletedFile checks that a file has symbols even if it was deleted while a
// process runs it.
func TestDeletedFile(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root for map_files")
	}
	exe := program(t, shapes)
	pid, _, plain, _ := running(t, exe)
	os.Remove(exe)
	if f, ok := NewUser(Options{}).Lookup(pid, plain); !ok || f.Name != "plain" || f.Module != exe {
		t.Errorf("plain is %+v, %v", f, ok)
	}
}

func TestPerfMap(t *testing.T) {
	name := fmt.Sprintf("/tmp/perf-%d.map", os.Getpid())
	write := func(text string) {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { os.Remove(name) })
	write("1000 20 jit one\nnonsense\n1020 10 two\n1000 20 jit new\n")
	u := NewUser(Options{})
	for addr, want := range map[uint64]Frame{
		0x1000: {"jit new", 0, "[jit]"}, 0x101f: {"jit new", 0x1f, "[jit]"}, 0x1025: {"two", 5, "[jit]"},
	} {
		if f, ok := u.Lookup(os.Getpid(), addr); !ok || f != want {
			t.Errorf("%#x is %+v, %v", addr, f, ok)
		}
	}
	if f, ok := u.Lookup(os.Getpid(), 0x1030); ok {
		t.Errorf("0x1030 is %+v", f)
	}
	write("1000 20 jit one\n1020 10 two\n1030 8 three, later\n")
	if f, ok := u.Lookup(os.Getpid(), 0x1031); !ok || f.Name != "three, later" {
		t.Errorf("0x1031 is %+v, %v", f, ok)
	}
}

func TestVDSO(t *testing.T) {
	u := NewUser(Options{})
	p := newProcess(os.Getpid())
	p.read("/proc")
	for _, m := range p.current().maps {
		if m.file.path != vdso {
			continue
		}
		for addr := m.start; addr < m.end; addr++ {
			if f, ok := u.Lookup(os.Getpid(), addr); ok && strings.Contains(f.Name, "clock_gettime") {
				return
			}
		}
		t.Error("no clock_gettime in the vdso")
	}
}

// FuzzTable checks that any file that claims to be an ELF file or a memory map is
// read without harm.
func FuzzTable(f *testing.F) {
	exe, _ := os.Executable()
	if data, err := os.ReadFile(exe); err == nil {
		f.Add(data[:4096], uint64(100))
	}
	f.Add([]byte("\x7fELF"), uint64(0))
	f.Fuzz(func(t *testing.T, data []byte, off uint64) {
		if tab, err := readTable(strings.NewReader(string(data)), "", false); err == nil {
			tab.lookup(off)
		}
		parseMaps(data)
		parsePerfMap(data)
	})
}
