// Package live runs scripts on the running kernel, with workloads that have
// exactly known effects, and compares the output.
//
// The tests need two programs: gotrace and the workload (testdata/work.c). Some
// tests trace programs in several languages (testdata/params). Without the
// flags -gotrace, -work and -fixtures, the test builds them first, with the go
// command and the available compilers. For another kernel the test binary and
// these programs, all static, are copied into a guest (see package vm) and get
// the flags.
package live

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// BuildWorkload compiles the workload from source, which is testdata/work.c.
// The program is static, so that no system calls of a loader are counted, and
// has frame pointers, so that its stacks can be walked.
func BuildWorkload(source, out string) error {
	cmd := exec.Command("gcc", "-static", "-O1", "-g", "-fno-omit-frame-pointer", "-o", out, source, "-lpthread")
	if msg, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, msg)
	}
	return nil
}

// fixtures lists the programs of testdata/params by name, one for each way to
// compile a source: the compiler with its arguments, and the arguments that
// make the program static, or hostOnly.
var fixtures = map[string][2]string{
	"c-O0-4":        {"gcc -gdwarf-4 -O0 params.c", "-static"},
	"c-O0-5":        {"gcc -gdwarf-5 -O0 params.c", "-static"},
	"c-O1-4":        {"gcc -gdwarf-4 -O1 params.c", "-static"},
	"c-O1-5":        {"gcc -gdwarf-5 -O1 params.c", "-static"},
	"c-id":          {"gcc -g -O1 -Wl,--build-id=0x0123456789abcdef params.c", "-static"},
	"widths-O0":     {"gcc -g -O0 widths.c", "-static"},
	"widths-O2":     {"gcc -g -O2 widths.c", "-static"},
	"returns-O0":    {"gcc -g -O0 returns.c", "-static"},
	"returns-O2":    {"gcc -g -O2 returns.c", "-static"},
	"usdt-O0":       {"gcc -g -O0 usdt.c", "-static"},
	"usdt-O2":       {"gcc -g -O2 usdt.c", "-static"},
	"unfit":         {"gcc -O1 unfit.c", "-static"},
	"texts-O1":      {"gcc -g -O1 texts.c", "-static"},
	"shapes-O1":     {"gcc -g -O1 shapes.c", "-static"},
	"consts-4":      {"gcc -gdwarf-4 -O2 consts.c", "-static"},
	"consts-5":      {"gcc -gdwarf-5 -O2 consts.c", "-static"},
	"consts-cpp":    {"g++ -x c++ -g -O2 consts.c", "-static"},
	"inlined":       {"gcc -g -O1 -fno-omit-frame-pointer -mno-omit-leaf-frame-pointer inlined.c", "-static"},
	"copies-O1":     {"gcc -g -O1 copies.c", "-static"},
	"copies-O2":     {"gcc -g -O2 copies.c", "-static"},
	"copies-Os":     {"gcc -g -Os copies.c", "-static"},
	"copies-4":      {"gcc -gdwarf-4 -O2 copies.c", "-static"},
	"copies-cpp":    {"g++ -x c++ -g -O2 copies.c", "-static"},
	"lines-O0":      {"gcc -g -O0 lines.c", "-static"},
	"lines-O1":      {"gcc -g -O1 lines.c", "-static"},
	"frames-O0":     {"gcc -O0 frames.c -pthread", "-static"},
	"frames-O2":     {"gcc -O2 -fomit-frame-pointer frames.c -pthread", "-static"},
	"frames-O3":     {"gcc -O3 -fomit-frame-pointer -fstack-protector-all frames.c -pthread -static", ""},
	"frames-fp":     {"gcc -O2 -fno-omit-frame-pointer frames.c -pthread", "-static"},
	"forks":         {"gcc -O2 -fomit-frame-pointer forks.c", "-static"},
	"places-fp":     {"gcc -O2 -fno-omit-frame-pointer -static -pthread places.c", ""},
	"places-O2":     {"gcc -O2 -fomit-frame-pointer -static -pthread places.c", ""},
	"execs-1":       {"gcc -O2 -fomit-frame-pointer -static -no-pie -DNUMBER=1 execs.c", ""},
	"execs-2":       {"gcc -O2 -fomit-frame-pointer -static -no-pie -DNUMBER=2 execs.c", ""},
	"nocode":        {"gcc -O2 -fomit-frame-pointer nocode.c", "-static"},
	"musl":          {"musl-gcc -O2 musl.c", "-static"},
	"generated":     {"gcc -O2 -fno-omit-frame-pointer generated.c", "-static"},
	"vectors":       {"gcc -O1 vectors.c", "-static"},
	"addresses":     {"gcc -O1 -no-pie -fno-pie addresses.c", hostOnly},
	"addresses-pie": {"gcc -O1 -pie -fPIE addresses.c", hostOnly},
	"addresses-st":  {"gcc -O1 -static addresses.c", ""},
	// One file has all functions of these, so that their stacks are whole when it has a table.
	"chains-cpp-O0":  {"g++ -O0 -static chains.cpp", ""},
	"chains-cpp-O2":  {"g++ -O2 -fomit-frame-pointer -static chains.cpp", ""},
	"chains-rust-O0": {"rustc -C target-feature=+crt-static chains.rs", ""},
	"chains-rust-O":  {"rustc -O -C target-feature=+crt-static chains.rs", ""},
	"chains-go":      {"go build ./chains", ""},
	"chains-go-s":    {"go build -ldflags=-s ./chains", ""},
	"chains-go-pie":  {"go build -buildmode=pie -ldflags=-s ./chains", ""}, // needs the loader
	"chains-cgo":     {"go build ./chainscgo", "static"},
	"chains-cgo-s":   {"go build -ldflags=-s ./chainscgo", hostOnly}, // a static one has no name for its functions in C
	"names-cpp":      {"g++ -g -O2 -static names.cpp", hostOnly},
	"names-rust":     {"rustc -O -C target-feature=+crt-static names.rs", hostOnly},
	"names-rust-v0":  {"rustc -O -C target-feature=+crt-static -C symbol-mangling-version=v0 names.rs", hostOnly},
	"cpp-O0":         {"g++ -g -O0 params.cpp", "-static"},
	"cpp-O1":         {"g++ -g -O1 params.cpp", "-static"},
	"rust":           {"rustc -g params.rs", "-C target-feature=+crt-static"},
	"go":             {"go build ./gotarget", ""},
}

// hostOnly marks programs that are not for emulated guests.
const hostOnly = "host only"

// buildFixture compiles a program from the sources in dir.
func buildFixture(dir, name, out string, static bool) error {
	args := strings.Fields(fixtures[name][0])
	if static {
		args = append(args, strings.Fields(fixtures[name][1])...)
	}
	env := []string{"CGO_ENABLED=0"}
	if args[0] == "go" {
		if strings.HasPrefix(name, "chains-cgo") {
			env[0] = "CGO_ENABLED=1"
			if n := len(args) - 1; args[n] == "static" {
				args, env = args[:n], append(env, "CGO_LDFLAGS=-static")
			}
		}
		args = append([]string{"go", "build", "-o", out}, args[2:]...)
	} else {
		args = append(args, "-o", out)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	if msg, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd, err, msg)
	}
	return nil
}

// BuildFixtures compiles all programs of testdata/params as static programs, and the trees.
// dir has their sources, and out receives them. It leaves out those for which there is no
// compiler or tool.
func BuildFixtures(dir, out string) error {
	for name, f := range fixtures {
		if f[1] == hostOnly {
			continue
		}
		compiler, _, _ := strings.Cut(f[0], " ")
		if _, err := exec.LookPath(compiler); err != nil {
			continue
		}
		if err := buildFixture(dir, name, filepath.Join(out, name), true); err != nil {
			return err
		}
	}
	for name := range trees() {
		if err := buildTree(dir, name, filepath.Join(out, name), true); err != nil && !errors.Is(err, errNoTool) {
			return err
		}
	}
	return nil
}
