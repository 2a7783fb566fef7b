package binary

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gotrace/gotrace/tests/testkit"
)

// callOf returns the address of the call of one function in another.
func callOf(t *testing.T, x *File, from, to string) uint64 {
	t.Helper()
	f, callee := x.Named(from), x.Named(to)
	if len(f) != 1 || len(callee) != 1 {
		t.Fatalf("%s has %d functions %s and %d functions %s", x.Path, len(f), from, len(callee), to)
	}
	off, _ := x.Offset(f[0].Addr)
	code := x.data[off : off+f[0].Size]
	for i := 0; i+5 <= len(code); i++ {
		at := f[0].Addr + uint64(i)
		if code[i] == 0xe8 && at+5+uint64(int64(int32(binary.LittleEndian.Uint32(code[i+1:])))) == callee[0].Addr {
			return at
		}
	}
	t.Fatalf("%s does not call %s", from, to)
	return 0
}

// frameText returns frames as "name@file:line", with the last element of the path.
func frameText(list []Frame) string {
	var out []string
	for _, f := range list {
		s := f.Name
		if f.Inlined {
			s = "[inlined] " + s
		}
		if f.File != "" {
			s += fmt.Sprintf("@%s:%d", filepath.Base(f.File), f.Line)
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}

// step changes a program in a directory after it is linked, and returns where its debug
// information is.
type step func(t *testing.T, dir string) Where

// debugFile is a form and location of debug information.
type debugFile struct {
	name  string
	flags string
	make  step
	want  string
}

const (
	full  = "[inlined] inner@inlined.c:13 [inlined] outer@inlined.c:18 work@inlined.c:23"
	names = "" // symbols only
	// Of the data that dwz moves to a shared file, only names are read.
	sharedByDwz = "shared by dwz"
)

// inShell runs commands in the directory of the program.
func inShell(lines ...string) step {
	return func(t *testing.T, dir string) Where {
		for _, l := range lines {
			testkit.Run(t, dir, "sh", "-c", "set -e; "+l)
		}
		return Where{}
	}
}

// dwz is inShell if dwz is installed.
func dwz(lines ...string) step {
	return func(t *testing.T, dir string) Where {
		if _, err := exec.LookPath("dwz"); err != nil {
			t.Skip("needs dwz")
		}
		return inShell(lines...)(t, dir)
	}
}

// searched has debug information below a directory that is searched.
func searched(sub string, s step) step {
	return func(t *testing.T, dir string) Where {
		s(t, dir)
		return Where{Dirs: []string{"/nowhere", filepath.Join(dir, sub)}}
	}
}

// inRoot is for a process with a root of its own, which runs the program as /opt/p.
func inRoot(s step) step {
	return func(t *testing.T, dir string) Where {
		s(t, dir)
		return Where{Root: filepath.Join(dir, "root"), Path: "/opt/p"}
	}
}

// debugFiles returns all supported forms and locations, for a program from the file src.
func debugFiles(src string) []debugFile {
	// strip moves the symbols and the debug information of the program to the file
	// p.debug.
	strip := "objcopy --only-keep-debug p p.debug; objcopy --strip-all p"
	id := `id=$(readelf -n p | sed -n 's/.*Build ID: //p'); a=$(echo $id | cut -c1-2); b=$(echo $id | cut -c3-)`
	return []debugFile{
		{"DWARF 2", "-gdwarf-2 -gno-strict-dwarf", inShell(), full},
		{"DWARF 3", "-gdwarf-3", inShell(), full},
		{"DWARF 4", "-gdwarf-4", inShell(), full},
		{"DWARF 5", "-gdwarf-5", inShell(), full},
		{"64-bit DWARF 5", "-gdwarf-5 -gdwarf64", inShell(), full},
		{"64-bit DWARF 4", "-gdwarf-4 -gdwarf64", inShell(), full},
		{"functions in sections", "-gdwarf-5 -ffunction-sections -Wl,--gc-sections", inShell(), full},
		{"no PIE", "-gdwarf-5 -no-pie", inShell(), full},
		{"static", "-gdwarf-5 -static", inShell(), full},
		{"compressed", "-g -gz=zlib", inShell(), full},
		{"compressed, zstd", "-g", inShell("objcopy --compress-debug-sections=zstd p"), full},
		{"compressed, older way", "-g -gdwarf-4", inShell("objcopy --compress-debug-sections=zlib-gnu p"), full},
		{"type units", "-gdwarf-4 -fdebug-types-section", inShell(), full},
		{"split DWARF 4", "-gdwarf-4 -gsplit-dwarf", inShell(), full},
		{"split DWARF 5", "-gdwarf-5 -gsplit-dwarf", inShell(), full},
		{"split DWARF 4, functions in sections", "-gdwarf-4 -gsplit-dwarf -ffunction-sections", inShell(), full},
		{"split DWARF 5, functions in sections", "-gdwarf-5 -gsplit-dwarf -ffunction-sections", inShell(), full},
		{"split DWARF 5, moved", "-gdwarf-5 -gsplit-dwarf", searched("moved", inShell("mkdir moved; mv *.dwo moved")), full},
		{"split DWARF 5, in an object file", "-gdwarf-5 -gsplit-dwarf", inShell(`for s in $(objdump -h p.dwo | grep -o '\.debug_[a-z_]*\.dwo'); do
			objcopy --dump-section $s=s p.dwo; objcopy --add-section $s=s p.o; done; mv p.o p.dwo`), full},
		{"package of split DWARF 4", "-gdwarf-4 -gsplit-dwarf", inShell("dwp -e p -o p.dwp; rm *.dwo"), full},
		{"package of split DWARF 5", "-gdwarf-5 -gsplit-dwarf", func(t *testing.T, dir string) Where {
			pack(t, dir)
			return Where{}
		}, full},
		{"split DWARF, lost", "-gdwarf-5 -gsplit-dwarf", inShell("rm *.dwo"), "@inlined.c:13"},
		{"link, same directory", "-g", inShell(strip, "objcopy --add-gnu-debuglink=p.debug p"), full},
		{"link, .debug", "-g", inShell(strip, "objcopy --add-gnu-debuglink=p.debug p; mkdir .debug; mv p.debug .debug"), full},
		{"link, named directory", "-g", searched("d", inShell(strip, "objcopy --add-gnu-debuglink=p.debug p; mkdir d; mv p.debug d")), full},
		{"link, named directory and path", "-g", searched("d", inShell(strip, `objcopy --add-gnu-debuglink=p.debug p; mkdir -p d/"$PWD"; mv p.debug d/"$PWD"`)), full},
		{"build ID, named directory", "-g", searched("d", inShell(strip, id+`; mkdir -p d/.build-id/$a; mv p.debug d/.build-id/$a/$b.debug`)), full},
		{"build ID as the name", "-g", searched("d", inShell(strip, id+`; mkdir d; mv p.debug d/$id.debug`)), full},
		{"link, beside in a root", "-g", inRoot(inShell(strip, "objcopy --add-gnu-debuglink=p.debug p; mkdir -p root/opt; mv p.debug root/opt")), full},
		{"link, .debug in a root", "-g", inRoot(inShell(strip, "objcopy --add-gnu-debuglink=p.debug p; mkdir -p root/opt/.debug; mv p.debug root/opt/.debug")), full},
		{"link, system's directory", "-g", inRoot(inShell(strip, "objcopy --add-gnu-debuglink=p.debug p; mkdir -p root/usr/lib/debug/opt; mv p.debug root/usr/lib/debug/opt")), full},
		{"build ID, system's directory", "-g", inRoot(inShell(strip, id+"; mkdir -p root/usr/lib/debug/.build-id/$a; mv p.debug root/usr/lib/debug/.build-id/$a/$b.debug")), full},
		{"program's name", "-g", searched("d", inShell(strip, `mkdir d; mv p.debug d`)), full},
		{"program's name, of another build", "-g", searched("d", inShell(strip, `mkdir d; gcc -g -O2 -DX -o d/p.debug `+src)), "none"},
		{"link, wrong checksum", "-g", inShell(strip, "objcopy --add-gnu-debuglink=p.debug p; echo >>p.debug"), "none"},
		{"MiniDebugInfo", "-g", inShell(`objcopy --only-keep-debug p mini; objcopy -S --remove-section .comment --keep-symbol=work --keep-symbol=leaf mini;
			xz mini; objcopy --strip-all --add-section .gnu_debugdata=mini.xz p`), names},
		{sharedByDwz, "-g", dwz("gcc -g -O1 -o q "+src, "dwz -m shared.debug p q"), full},
		{"shared by dwz, DWARF 5", "-gdwarf-5", dwz("gcc -gdwarf-5 -O1 -o q "+src, "dwz -5 -m shared.debug p q"), full},
		{"link to a split program's debug file", "-gdwarf-5 -gsplit-dwarf", inShell(strip, "objcopy --add-gnu-debuglink=p.debug p"), full},
	}
}

// TestDebugFiles builds a program with its debug information in each supported form and
// location, and looks up a call in inlined functions.
func TestDebugFiles(t *testing.T) {
	src, err := filepath.Abs("testdata/inlined.c")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range debugFiles(src) {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			exe := filepath.Join(dir, "p")
			args := append([]string{"gcc", "-O1", "-c", "-o", "p.o", src}, compileFlags(c.flags)...)
			testkit.Run(t, dir, args...)
			testkit.Run(t, dir, append([]string{"gcc", "-Wl,--build-id", "-o", exe, "p.o"}, strings.Fields(c.flags)...)...)
			whole, err := Open(exe)
			if err != nil {
				t.Fatal(err)
			}
			pc := callOf(t, whole, "work", "leaf")
			whole.Close()
			where := c.make(t, dir)
			x, err := Open(exe)
			if err != nil {
				t.Fatal(err)
			}
			defer x.Close()
			x.Where = where
			s, ok := x.At(pc)
			if want := c.want != "none"; ok != want || want && s.Name != "work" {
				t.Errorf("%#x is in %q, %v", pc, s.Name, ok)
			}
			want := c.want
			if want == "none" {
				want = ""
			}
			if got := frameText(x.Frames(pc)); got != want {
				t.Errorf("frames %q, want %q", got, want)
			}
			if c.want != full || c.name == sharedByDwz {
				return
			}
			checkTypes(t, x)
		})
	}
}

// compileFlags returns the flags without those for the linker.
func compileFlags(flags string) (out []string) {
	for _, f := range strings.Fields(flags) {
		if !strings.HasPrefix(f, "-Wl,") && f != "-static" {
			out = append(out, f)
		}
	}
	return out
}

// checkTypes checks the debug information that uprobes need: parameters and the code of
// a source line.
func checkTypes(t *testing.T, x *File) {
	g, err := x.DebugInfo()
	if err != nil {
		t.Fatal(err)
	}
	s := x.Named("work")[0]
	fn, ok := g.Function(s.Addr)
	if !ok {
		t.Fatal("no function work")
	}
	if got := strings.Join(fn.ParamDecls(), ", "); got != "int x, const char* name" {
		t.Errorf("parameters %q", got)
	}
	args := fn.Args(AMD64, "work", "work", ABIC)
	for i, f := range args.Members() {
		if f.Loc.Err != "" || !AMD64.IsArg(ABIC, i, f.Loc) {
			t.Errorf("parameter %d, %s, is at %+v", i, f.Name, f.Loc)
		}
	}
	addrs, err := g.Addresses(SourceLine{File: "inlined.c", Line: 13})
	if err != nil || len(addrs) != 1 || addrs[0] < s.Addr || addrs[0] >= s.Addr+s.Size {
		t.Errorf("line 13 is at %#x, %v; work is at %#x", addrs, err, s.Addr)
	}
}

func TestMain(m *testing.M) {
	os.Setenv("LC_ALL", "C")
	os.Exit(m.Run())
}

// TestLambda looks up a call in a lambda of a function without code of its own.
func TestLambda(t *testing.T) {
	src, err := filepath.Abs("testdata/lambda.cc")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	testkit.Run(t, dir, "g++", "-g", "-O1", "-o", "p", src)
	x, err := Open(filepath.Join(dir, "p"))
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	for _, s := range x.Functions(func(n []byte) bool { return strings.Contains(string(n), "outer") }) {
		want := s.Name + "@lambda.cc:10"
		if s.Name == "main" {
			continue
		}
		got := frameText(x.Frames(callOf(t, x, s.Name, "leaf")))
		if got = strings.Replace(got, "operator()", s.Name, 1); got != want {
			t.Errorf("frames %q, want %q", got, want)
		}
		return
	}
	t.Error("no lambda")
}
