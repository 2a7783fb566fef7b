package runtime

import (
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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
	if k := openKernelFile(paths, "00"+x.BuildID(), text); k.x != nil {
		t.Error("the file of another kernel was opened")
	}
	opened := 0
	k := &kernelLines{files: map[string]*kernelFile{}, open: func(module string) *kernelFile {
		if opened++; module != "vmlinux" {
			return &kernelFile{}
		}
		return openKernelFile(paths, x.BuildID(), text)
	}}
	work := x.Named("work")[0]
	frames := func(f value.Frame, returned bool) string { return linesText(k.frames(f, returned)) }
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
	if opened != 2 {
		t.Errorf("two files were opened %d times", opened)
	}
}

// TestModuleLines looks up addresses of a module that is a relocatable file of the test.
// Each of its sections is loaded elsewhere, as /sys/module describes.
func TestModuleLines(t *testing.T) {
	for _, flags := range []string{"-gdwarf-4", "-gdwarf-5", "-gdwarf-5 -gz=zlib", "-gdwarf-5 -gdwarf64", "-gdwarf-5 -ffunction-sections"} {
		t.Run(flags, func(t *testing.T) {
			dir := t.TempDir()
			module, sys := filepath.Join(dir, "m.ko"), filepath.Join(dir, "sys")
			build := "gcc -O1 -c -o m.o " + flags + " ../probes/binary/testdata/inlined.c && ld -r --build-id -o m.ko m.o &&" +
				"mkdir -p sys/notes sys/sections && objcopy -O binary -j .note.gnu.build-id --set-section-flags .note.gnu.build-id=alloc m.ko sys/notes/.note.gnu.build-id && " +
				"objcopy --only-keep-debug m.ko m.ko.debug"
			source, err := filepath.Abs("../probes/binary/testdata/inlined.c")
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("sh", "-c", strings.ReplaceAll(build, "../probes/binary/testdata/inlined.c", source))
			cmd.Dir = dir
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Skipf("%v: %s", err, out)
			}
			e, err := elf.Open(module)
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			base := map[string]uint64{}
			for i, s := range e.Sections {
				if s.Flags&elf.SHF_EXECINSTR != 0 {
					base[s.Name] = 0xffffffffc0000000 + uint64(i)<<16
					if err := os.WriteFile(filepath.Join(sys, "sections", s.Name), fmt.Appendf(nil, "%#x\n", base[s.Name]), 0o600); err != nil {
						t.Fatal(err)
					}
				}
			}
			syms, err := e.Symbols()
			if err != nil {
				t.Fatal(err)
			}
			work := syms[slices.IndexFunc(syms, func(s elf.Symbol) bool { return s.Name == "work" })]
			start := base[e.Sections[work.Section].Name] + work.Value
			const call = "inner@inlined.c:13,true outer@inlined.c:18,true work@inlined.c:23,false"
			for _, path := range []string{module, module + ".debug"} {
				k := &kernelLines{files: map[string]*kernelFile{}, open: func(string) *kernelFile {
					return openModule(sys, func(string) []string { return []string{path} })
				}}
				found := 0
				for pc := start; pc < start+work.Size; pc++ {
					if text := linesText(k.frames(value.Frame{Addr: pc, Name: "work", Module: "m"}, false)); text == call {
						found++
					}
				}
				if found == 0 || found == int(work.Size) {
					t.Errorf("%s: %d addresses of %d are in inner", path, found, work.Size)
				}
			}
			if f := openModule(filepath.Join(dir, "none"), nil); f.x != nil {
				t.Error("a module that is not loaded has lines")
			}
		})
	}
}

func linesText(list []value.Frame) string {
	var out []string
	for _, f := range list {
		out = append(out, fmt.Sprintf("%s@%s:%d,%v", f.Name, filepath.Base(f.File), f.Line, f.Inlined))
	}
	return strings.Join(out, " ")
}
