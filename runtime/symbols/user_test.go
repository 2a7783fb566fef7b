package symbols

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"reflect"
)

// lookup returns the function that contains an address, and whether a name was found.
func lookup(u *User, pid int, addr uint64) (Frame, bool) {
	list := u.Lookup(pid, addr)
	f := list[len(list)-1]
	return f, f.Name != ""
}

//go:noinline
func landmark() int { return os.Getpid() }

func TestOwnFunction(t *testing.T) {
	if landmark() == 0 {
		t.Fatal()
	}
	u := NewUser(View{})
	pc := uint64(reflect.ValueOf(landmark).Pointer())
	f, ok := lookup(u, os.Getpid(), pc+3)
	if !ok || !strings.HasSuffix(f.Name, "symbols.landmark") || f.Offset != 3 {
		t.Errorf("found %+v, %v", f, ok)
	}
	exe, _ := os.Executable()
	if f.Module != exe {
		t.Errorf("module %q, want %q", f.Module, exe)
	}
	if f, ok := lookup(u, os.Getpid(), 0x10); ok || f.Module != "" {
		t.Errorf("address 0x10 is %+v", f)
	}
	if _, ok := lookup(u, os.Getpid(), 0); ok {
		t.Error("address 0 has a function")
	}
	if _, ok := lookup(u, 0, pc); ok {
		t.Error("process 0 has a function")
	}
	if _, ok := lookup(u, 1<<30, pc); ok {
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
		if bytes.Contains(out, []byte("cc1plus")) {
			t.Skipf("needs a C++ compiler: %s", out)
		}
		t.Fatalf("cannot build: %v\n%s", err, out)
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
			u := NewUser(View{Demangle: true})
			expect := func(when string) {
				t.Helper()
				if f, ok := lookup(u, pid, area+1); !ok || f.Name != "ns::area(int, int)" || f.Offset != 1 || f.Module != exe {
					t.Errorf("%s: area is %+v, %v", when, f, ok)
				}
				if f, ok := lookup(u, pid, plain); !ok || f.Name != "plain" || f.Offset != 0 {
					t.Errorf("%s: plain is %+v, %v", when, f, ok)
				}
			}
			expect("running")
			stop()
			time.Sleep(2 * stale)
			expect("gone")
			if f, ok := lookup(NewUser(View{}), pid, plain); ok {
				t.Errorf("a process that was never seen has %+v", f)
			}
		})
	}
}

func TestMangledNames(t *testing.T) {
	exe := program(t, shapes)
	pid, area, _, _ := running(t, exe)
	if f, ok := lookup(NewUser(View{}), pid, area); !ok || f.Name != "_ZN2ns4areaEii" {
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
	if f, ok := lookup(NewUser(View{}), pid, plain); !ok || f.Name != "plain" || f.Module != exe {
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
	u := NewUser(View{})
	for addr, want := range map[uint64]Frame{
		0x1000: {Addr: 0x1000, Name: "jit new", Module: "[jit]"}, 0x101f: {Addr: 0x101f, Name: "jit new", Offset: 0x1f, Module: "[jit]"},
		0x1025: {Addr: 0x1025, Name: "two", Offset: 5, Module: "[jit]"},
	} {
		if f, ok := lookup(u, os.Getpid(), addr); !ok || f != want {
			t.Errorf("%#x is %+v, %v", addr, f, ok)
		}
	}
	if f, ok := lookup(u, os.Getpid(), 0x1030); ok {
		t.Errorf("0x1030 is %+v", f)
	}
	time.Sleep(2 * stale)
	write("1000 20 jit one\n1020 10 two\n1030 8 three, later\n")
	if f, ok := lookup(u, os.Getpid(), 0x1031); !ok || f.Name != "three, later" {
		t.Errorf("0x1031 is %+v, %v", f, ok)
	}
}

func TestVDSO(t *testing.T) {
	u := NewUser(View{})
	maps, _ := readMaps("/proc", os.Getpid())
	for _, m := range maps {
		if m.file.path != vdso {
			continue
		}
		for addr := m.start; addr < m.end; addr++ {
			if f, ok := lookup(u, os.Getpid(), addr); ok && strings.Contains(f.Name, "clock_gettime") {
				return
			}
		}
		t.Error("no clock_gettime in the vdso")
	}
}

// FuzzMaps checks that any memory map and any map of generated code is read without
// harm.
func FuzzMaps(f *testing.F) {
	f.Add([]byte("55d0c0000000-55d0c0001000 r-xp 00000000 08:01 77 /bin/true\n1000 20 jit one\n"))
	f.Add(jitdump())
	f.Fuzz(func(t *testing.T, data []byte) {
		parseMaps(data)
		latest(appendPerfMap(nil, data))
		var d dumpReader
		list, rest := d.read(nil, data[:len(data)/2])
		list, _ = d.read(list, append(rest, data[len(data)/2:]...))
		latest(list)
	})
}
