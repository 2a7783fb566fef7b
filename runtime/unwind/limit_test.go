package unwind

import (
	"fmt"
	"runtime"
	"testing"
)

// TestLostEnds checks that processes whose end was not reported are removed.
func TestLostEnds(t *testing.T) {
	m := newModel()
	tables := New(AMD64, m.memory(), "/nonexistent", nil)
	defer tables.Close()
	tables.Prefer(2)
	for pid := 1; pid <= 3; pid++ {
		tables.Mapped(pid, Mapping{Start: 0x1000, End: 0x9000})
	}
	tables.Flush()
	tables.Running(map[int]bool{1: true, 77: true})
	for pid, want := range map[int]int{1: FramePointer, 2: -1, 3: -1} {
		if kind, _ := m.find(pid, 0x1000); kind != want {
			t.Errorf("process %d: %d, want %d", pid, kind, want)
		}
	}
	if len(tables.procs) != 1 || len(tables.first) != 0 {
		t.Errorf("%d processes are known, %d of them preferred", len(tables.procs), len(tables.first))
	}
}

// TestManyFiles maps more files than fit, in processes that end.
func TestManyFiles(t *testing.T) {
	m := newModel()
	tables := New(AMD64, m.memory(), "/nonexistent", nil)
	defer tables.Close()
	const n = MaxFiles + 500
	for i := range n {
		tables.Mapped(2, Mapping{Start: 0x1000, End: 0x9000, Dev: 1, Inode: uint64(i + 1), Path: fmt.Sprintf("/nonexistent/%d", i)})
		for tables.Stats().Failed <= i {
			runtime.Gosched()
		}
		tables.Ended(2)
	}
	tables.mu.Lock()
	defer tables.mu.Unlock()
	if known := len(tables.files) + len(tables.retired); known > MaxFiles {
		t.Errorf("%d files are known", known)
	}
}
