package probes

import (
	"debug/elf"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestForeignArchitecture opens copies of a program whose headers name other architectures.
func TestForeignArchitecture(t *testing.T) {
	own, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Skip(err)
	}
	e := &Env{Kernel: fakeArch{}}
	for machine, want := range map[elf.Machine]string{
		elf.EM_X86_64: "", elf.EM_386: "", elf.EM_AARCH64: "is for another architecture, arm64: this machine does not execute its code",
		elf.EM_RISCV: "is for another architecture, EM_RISCV: this machine does not execute its code", elf.EM_ARM: "is for another architecture, EM_ARM: this machine does not execute its code",
	} {
		own[18], own[19] = byte(machine), byte(machine>>8)
		path := filepath.Join(t.TempDir(), "program")
		if err := os.WriteFile(path, own, 0o755); err != nil {
			t.Fatal(err)
		}
		_, err := openTraced(e, "uprobe", path)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%v: %v, want %q", machine, err, want)
		}
	}
}
