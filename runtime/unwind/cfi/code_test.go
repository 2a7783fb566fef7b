package cfi

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestFollow follows the code of libraries and programs as if they had no call frame
// information, and compares the frames with this information.
func TestFollow(t *testing.T) {
	for pattern, least := range map[string]float64{
		// Some functions of the C library in assembly do not describe what they push.
		"/usr/bin/bash": 0.99, "/usr/bin/ls": 0.99, "/usr/lib/*/libc.so.6": 0.99, "/usr/lib/*/libz.so.1": 0.99, "/usr/lib/*/libm.so.6": 0.99,
	} {
		files, _ := filepath.Glob(pattern)
		for _, path := range files {
			e, err := elf.Open(path)
			if err != nil {
				continue
			}
			defer e.Close()
			var real File
			if err := real.readEH(e, AMD64); err != nil {
				t.Fatal(err)
			}
			same, differ, lost, missed := compareFollowed(t, e, &real)
			part := float64(same) / float64(same+differ)
			t.Logf("%s: %d instructions as described, %d not, %d unknown, %d not reached: %.5f", path, same, differ, lost, missed, part)
			if part < least || same < (lost+missed)*7 {
				t.Errorf("%s: %.5f are as described", path, part)
			}
		}
	}
}

func compareFollowed(t *testing.T, e *elf.File, real *File) (same, differ, lost, missed int) {
	var bare File
	w := follow(e, bare.gaps(e), AMD64)
	shown := 0
	for _, g := range w.gaps {
		for off := 0; off < len(g.at); {
			addr := g.start + uint64(off)
			e, ok := w.effect(g.data[off:], addr)
			n := g.at[off]
			want := real.At(addr)
			if !ok {
				off++
				continue
			}
			off += e.Size
			if want.Kind != Register || want.Reg != uint8(AMD64.SP) && want.Reg != uint8(AMD64.FP) {
				continue
			}
			if n == 0 {
				missed++
				continue
			}
			f := w.frames[n]
			has := f.height
			if want.Reg == uint8(AMD64.FP) {
				has = f.fp
			}
			switch {
			case has == unknown:
				lost++
			case has == want.CFA:
				same++
			default:
				differ++
				if shown++; shown <= 12 {
					t.Logf("%#x: %+v, described as %+v", addr, f, want)
				}
			}
		}
	}
	return same, differ, lost, missed
}

// FuzzFollow follows arbitrary code. It must end, and the rows must be in order.
func FuzzFollow(f *testing.F) {
	if e, err := elf.Open("/usr/bin/ls"); err == nil {
		if s := e.Section(".text"); s != nil {
			if data, err := s.Data(); err == nil {
				f.Add(data[:min(len(data), 4096)])
			}
		}
	}
	f.Add([]byte{0x55, 0x48, 0x89, 0xe5, 0xeb, 0xfa, 0xe8, 0xf5, 0xff, 0xff, 0xff, 0xc9, 0xc3})
	f.Fuzz(func(t *testing.T, data []byte) {
		e := &elf.File{}
		e.Entry = 0x1000
		w := follow(e, []gap{{start: 0x1000, data: data, at: make([]uint32, len(data)), of: make([]uint32, len(data)), known: make([]byte, len(data))}}, AMD64)
		var rows Rows
		rows.rule(Rule{})
		for i := range w.gaps {
			w.rows(&w.gaps[i], &rows)
		}
		for i := 1; i < len(rows.List); i++ {
			if rows.List[i].PC <= rows.List[i-1].PC {
				t.Fatalf("row %d is not after the one before", i)
			}
		}
	})
}

// popping is code without call frame information whose functions remove arguments from
// the stack, like the builtin functions of Node. The label of each row is the instruction
// before which the caller is searched for.
const popping = `
	.globl _start, late
	.type _start, @function
	.type outer, @function
	.type takes, @function
	.type jumps, @function
	.type late, @function
_start:	call outer
	hlt
jumps:	push %rax		# comes before late, which it jumps to with an argument
	push %rax
in_jumps:
	jmp late
outer:	push %rbp
	mov %rsp, %rbp
	push %rsi
	push %rax
	push %rax
in_outer:
	call takes
after:	mov %rax, %rdi
	leave
left:	ret
takes:	push %rbx
in_takes:
	pop %rbx
	ret $16
late:	push %rbp
	mov %rsp, %rbp
in_late:
	lea 1f(%rip), %rdx
	call *%rcx
1:
near:	nop
	leave
	pop %rdx
between:
	push %rax
	push %rdx
	push %rbp
	mov %rsp, %rbp
moved:	nop
	hlt
	.type keeps, @function
	.type uses, @function
keeps:	push %rbx
	pop %rbx
	ret
uses:	push %rax
	call keeps
kept:	call takes
taken:	hlt
	leave
	ret $8
`

// TestPopping follows code whose functions remove arguments from the stack: after a call,
// the caller's frame can be found only by the frame pointer.
func TestPopping(t *testing.T) {
	dir := t.TempDir()
	src, bin := filepath.Join(dir, "popping.S"), filepath.Join(dir, "popping")
	if err := os.WriteFile(src, []byte(popping), 0o666); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("gcc", "-nostdlib", "-static", "-no-pie", "-o", bin, src).CombinedOutput(); err != nil {
		t.Skipf("this needs gcc for amd64: %v %s", err, out)
	}
	f, err := os.Open(bin)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := ReadFile(f, func(*File) {}, nil)
	if err != nil {
		t.Fatal(err)
	}
	e, err := elf.NewFile(f)
	if err != nil {
		t.Fatal(err)
	}
	symbols, err := e.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	at := map[string]uint64{}
	for _, s := range symbols {
		at[s.Name] = s.Value
	}
	sp, fp := uint8(AMD64.SP), uint8(AMD64.FP)
	for _, c := range []struct {
		label string
		reg   uint8
		cfa   int32
	}{
		{"outer", sp, 8}, {"in_outer", sp, 40}, {"after", fp, 16}, {"left", sp, 8}, {"takes", sp, 8}, {"in_takes", sp, 16},
		{"jumps", sp, 8}, {"in_jumps", sp, 24}, {"late", sp, 8}, {"in_late", sp, 16}, {"near", fp, 16}, {"moved", sp, 16}, {"kept", sp, 16},
		{"between", 0, 0}, {"taken", 0, 0},
	} {
		if c.reg == 0 {
			if r := rows.At(at[c.label]); at[c.label] == 0 || r.Kind != NoTable {
				t.Errorf("%s: %+v, want none", c.label, r)
			}
			continue
		}
		if r := rows.At(at[c.label]); at[c.label] == 0 || r.Kind != Register || r.Reg != c.reg || r.CFA != c.cfa {
			t.Errorf("%s: %+v, want the CFA at register %d + %d", c.label, r, c.reg, c.cfa)
		}
	}
}
