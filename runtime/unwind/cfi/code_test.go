package cfi

import (
	"debug/elf"
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
		w := follow(e, []gap{{start: 0x1000, data: data, at: make([]uint32, len(data)), of: make([]uint32, len(data))}}, AMD64)
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
