package probes_test

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// The programs to trace. They are built once per run, or specified by environment
// variables if there is no compiler (in the emulated kernels).

var goTarget = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("PROBES_GO_TARGET"); path != "" {
		return path, nil
	}
	return build("go", "build", "-o", "OUT", "./testdata/target")
})

var cTarget = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("PROBES_C_TARGET"); path != "" {
		return path, nil
	}
	return build("gcc", "-O1", "-static", "-o", "OUT", "testdata/target.c")
})

var buildDir string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "probes")
	if err != nil {
		panic(err)
	}
	buildDir = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

func build(args ...string) (string, error) {
	out := filepath.Join(buildDir, "target-"+args[0])
	for i := range args {
		if args[i] == "OUT" {
			args[i] = out
		}
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stderr = os.Stderr
	return out, cmd.Run()
}

// target returns the path of a program to trace. Without a C compiler, tests that need
// one are skipped. A Go compiler is always available then.
func target(t testing.TB, get func() (string, error)) string {
	t.Helper()
	path, err := get()
	if err != nil && strings.Contains(err.Error(), "executable file not found") {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	return path
}

// process is a target that waits until it may run.
type process struct {
	*exec.Cmd
	stdin io.WriteCloser
	out   *bufio.Reader
}

func start(t testing.TB, path, n string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(path, n)}
	var err error
	if p.stdin, err = p.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewReader(out)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Process.Kill(); p.Wait() })
	return p
}

// finish lets the process run to its end.
func (p *process) finish(t testing.TB) {
	t.Helper()
	p.stdin.Close()
	io.Copy(io.Discard, p.out)
	if err := p.Wait(); err != nil {
		t.Fatal(err)
	}
}
