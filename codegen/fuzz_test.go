package codegen_test

import (
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/probes/kernel"
	"github.com/gotrace/gotrace/tests/cases"
	corpus "github.com/gotrace/gotrace/tests/golden"
)

// FuzzCompile checks that every script that the checker accepts can be compiled for
// every kernel, is well formed after each stage, and is accepted by the verifier of the
// running kernel.
func FuzzCompile(f *testing.F) {
	for _, text := range corpus.Sources() {
		f.Add(text)
	}
	for _, d := range builtins.All() {
		for _, e := range d.Doc.Examples {
			f.Add(e)
		}
	}
	for _, c := range cases.Read(f, "testdata/load.txtar").Cases {
		f.Add(c.Input(f, "source.bt"))
	}
	paths, err := filepath.Glob("../tests/kernels/*.zip")
	if err != nil || len(paths) == 0 {
		f.Fatal("no frozen kernels", err)
	}
	var kernels []*kernel.Kernel
	for _, path := range paths {
		k, err := kernel.Frozen(path)
		if err != nil {
			f.Fatal(err)
		}
		kernels = append(kernels, k)
	}
	live := kernel.Live()
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "#") || strings.Contains(text, "import") || strings.Contains(text, "/proc") || len(text) > 2048 {
			return // other tests cover files of this machine
		}
		k := kernels[crc32.ChecksumIEEE([]byte(text))%uint32(len(kernels))]
		obj, diags := compile(t, k, text, verify(t))
		if obj == nil && !diags.HasErrors() {
			t.Fatal("neither an object nor an error")
		}
		if os.Geteuid() != 0 {
			return
		}
		obj, _ = compile(t, live, text, nil)
		if obj == nil {
			return
		}
		if err := load(obj); err != nil && !excused(err) {
			t.Fatal(err)
		}
	})
}

// excused reports whether a program may fail to load: this kernel forbids or lacks
// something, or the program is too large in a way that only the kernel can detect.
func excused(err error) bool {
	switch {
	case errors.Is(err, unix.EPERM) && !errors.As(err, new(*ebpf.VerifierError)),
		errors.Is(err, ebpf.ErrNotSupported),
		errors.Is(err, unix.E2BIG),
		errors.Is(err, unix.ENOMEM):
		return true
	}
	for _, s := range []string{
		"helper bpf_probe_write_user", "func bpf_override_return", "BPF program is too large", "is too complex",
		"combined stack size", "The total number of maps per program",
	} {
		if strings.Contains(err.Error(), s) {
			return true
		}
	}
	return false
}
