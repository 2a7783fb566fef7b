package binary

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/gotrace/gotrace/runtime/amd64"
)

// TestEntry compiles functions and checks how many bytes after their start the
// breakpoint for their calls is.
func TestEntry(t *testing.T) {
	if _, err := exec.LookPath("gcc"); err != nil || runtime.GOARCH != "amd64" {
		t.Skip("it needs gcc on amd64")
	}
	tests := []struct {
		name, code string
		skipped    uint64
		refused    bool
	}{
		{name: "common", code: "push %rbp; ret"},
		{name: "marked", code: "endbr64; vmovd %esi, %xmm0; ret"},
		{name: "short", code: "vmovd %esi, %xmm0; ret", skipped: 4},
		{name: "long", code: "vpxor %xmm15, %xmm15, %xmm15; ret", skipped: 5},
		{name: "two", code: "vpxor %xmm0, %xmm0, %xmm0; vmovd %esi, %xmm1; ret", skipped: 8},
		{name: "taken", code: "vpaddb %xmm1, %xmm0, %xmm0; ret"}, // its opcode, 0xfc, is fine
		{name: "evex", code: "vpxord %zmm0, %zmm0, %zmm0; ret", refused: true},
		{name: "broadcast", code: "vpbroadcastb %esi, %zmm16; ret", skipped: 6},
		{name: "broadcast2", code: "vpbroadcastb %xmm3, %ymm3; ret", skipped: 5},
		{name: "broadcast4", code: "vpbroadcastd %esi, %zmm16; ret", skipped: 6},
		{name: "broadcast1", code: "vpbroadcastb (%rsi), %ymm3; ret", refused: true},
		{name: "compare", code: "vpcmpeqb %zmm1, %zmm0, %k1; ret", refused: true},
		{name: "equal", code: "vpcmpeqb %xmm2, %xmm1, %xmm0; ret", skipped: 4},
		{name: "or", code: "vpor %xmm2, %xmm1, %xmm0; ret", skipped: 4},
		{name: "subtract", code: "vpsubsb %xmm2, %xmm1, %xmm0; ret", skipped: 4},
		{name: "gather", code: "vpgatherdd %ymm2, (%rdi,%ymm1), %ymm0; ret", refused: true},
		{name: "zeroupper", code: "vzeroupper; ret", refused: true},
		{name: "load", code: "vmovdqu (%rsi), %ymm0; ret", refused: true},
		{name: "xor", code: "vxorps %xmm0, %xmm0, %xmm0; ret"},
		{name: "shuffle", code: "pshufd $1, %xmm1, %xmm0; ret"},
		{name: "loop", code: "vmovd %esi, %xmm0; 1: dec %edi; jnz 1b; ret", refused: true},
		{name: "entered", code: "vmovd %esi, %xmm0; inside: ret; .skip 200; jmp inside", refused: true},
		{name: "stores", code: "vmovq %xmm0, (%rsi); ret", refused: true},
		{name: "moves", code: "vmovd %xmm0, %edx; ret", skipped: 4},
		{name: "moves2", code: "vmovd %xmm0, %edx; vmovd %xmm1, %esi; ret", skipped: 8},
		{name: "moves8", code: "vmovq %xmm0, %rcx; ret", skipped: 5},
		{name: "movesq", code: "vmovq %xmm1, %xmm9; ret", refused: true}, // another instruction of this opcode
		{name: "multiply4", code: "vfmaddss %xmm2, %xmm1, %xmm0, %xmm0; ret", refused: true},
		{name: "xop", code: "vpcmov %xmm2, %xmm1, %xmm0, %xmm0; ret", refused: true},
		{name: "pops", code: "popq (%rdi); ret"},
		{name: "multiply", code: "vfnmadd132ss %xmm2, %xmm1, %xmm0; ret", refused: true},
		{name: "multiply1", code: "vfnmadd132ss 16(%rip), %xmm1, %xmm0; ret", refused: true},
		{name: "multiply2", code: "vfnmadd231ss 16(%rip), %xmm1, %xmm0; ret"},
		{name: "compares", code: "vcmpps $1, %xmm2, %xmm1, %xmm0; ret"},
		{name: "compares1", code: "vcmpps $1, 16(%rip), %xmm1, %xmm0; ret", refused: true},
		{name: "compares2", code: "vcmpsd $1, (%rdi), %xmm1, %xmm0; ret"},
		{name: "compares3", code: "cmpps $1, 16(%rip), %xmm0; ret"},
		{name: "loads", code: "vpxor (%rsi), %xmm0, %xmm0; ret", refused: true},
		{name: "port", code: "insb; ret", refused: true},
		{name: "locked", code: "lock incl (%rdi); ret", refused: true},
		{name: "sse", code: "movd %esi, %xmm0; ret"},
	}
	text := ".text\n"
	for _, tt := range tests {
		text += ".globl " + tt.name + "\n.type " + tt.name + ",@function\n" + tt.name + ": " + tt.code + "\n.size " + tt.name + ",.-" + tt.name + "\n"
	}
	dir := t.TempDir()
	src, out := filepath.Join(dir, "entry.s"), filepath.Join(dir, "entry.so")
	if err := os.WriteFile(src, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if msg, err := exec.Command("gcc", "-shared", "-nostdlib", "-o", out, src).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, msg)
	}
	x, err := Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	for _, tt := range tests {
		s := x.Named(tt.name)[0]
		at := x.Entry(s)
		if at-s.Addr != tt.skipped || x.Refused(at) != tt.refused {
			t.Errorf("%s: at +%d, refused: %v; want +%d, %v", tt.name, at-s.Addr, x.Refused(at), tt.skipped, tt.refused)
		}
	}
}

// TestInstructionLengths compares the lengths of all instructions of the C library with
// those that objdump shows.
func TestInstructionLengths(t *testing.T) {
	libs, _ := filepath.Glob("/lib/x86_64-linux-gnu/libc.so.6")
	if _, err := exec.LookPath("objdump"); err != nil || len(libs) == 0 {
		t.Skip("it needs objdump and the C library of amd64")
	}
	x, err := Open(libs[0])
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	text := x.elf.Section(".text")
	starts := disassembled(t, libs[0], text.Addr, text.Size)
	for i := 1; i < len(starts); i++ {
		if want, got := int(starts[i]-starts[i-1]), insnLen(x.codeAt(starts[i-1], amd64.MaxInsn)); got != want {
			t.Errorf("%#x: % x: %d bytes, want %d", starts[i-1], x.codeAt(starts[i-1], want), got, want)
		}
	}
	if len(starts) < 100_000 {
		t.Errorf("%d instructions", len(starts))
	}
}

// disassembled returns the addresses at which objdump shows instructions.
func disassembled(t *testing.T, path string, addr, size uint64) (starts []uint64) {
	t.Helper()
	out, err := exec.Command("objdump", "-d", "--no-show-raw-insn", fmt.Sprintf("--start-address=%#x", addr), fmt.Sprintf("--stop-address=%#x", addr+size), path).Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		at, _, ok := strings.Cut(strings.TrimSpace(line), ":")
		if a, err := strconv.ParseUint(at, 16, 64); ok && err == nil {
			starts = append(starts, a)
		}
	}
	return starts
}
