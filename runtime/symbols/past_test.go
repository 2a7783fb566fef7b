package symbols

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
)

// live returns the number of bytes that are in use.
func live() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestPast reports many processes, and checks how much is kept of them.
func TestPast(t *testing.T) {
	const parent = 1
	at := func(i int) Mapping {
		return Mapping{Start: uint64(i) << 12, End: uint64(i+1) << 12, Dev: "08:01", Inode: strconv.Itoa(i), Path: "lib/" + strconv.Itoa(i)}
	}
	many := func(n int) func(u *User, pid, i int) {
		return func(u *User, pid, i int) {
			u.Executed(pid)
			for j := range n {
				u.Mapped(pid, at(j))
			}
		}
	}
	for _, c := range []struct {
		name  string
		n     int
		pids  int // how many IDs there are
		child func(u *User, pid, i int)
		lost  bool // the ends are not reported
		most  uint64
	}{
		{"forked", 200_000, maxPID, func(*User, int, int) {}, false, 24 << 20},
		{"few IDs", 70_000, 32 << 10, many(5), false, 48 << 20},
		{"one ID", 50_000, 1, many(5), false, 48 << 20},
		{"a hundred libraries", 7_000, maxPID, many(100), false, 64 << 20},
		{"ends are lost", 60_000, maxPID, many(5), true, 48 << 20},
		{"ends and few IDs", 40_000, 32 << 10, many(5), true, 72 << 20},
		{"twenty programs", 24_000, maxPID, func(u *User, pid, i int) {
			for range 20 {
				many(2)(u, pid, i)
			}
		}, false, 64 << 20},
		{"files of their own", 40_000, maxPID, func(u *User, pid, i int) {
			u.Executed(pid)
			m := at(i)
			m.Path = "/" + m.Path
			u.Mapped(pid, m)
		}, false, 64 << 20},
		{"looked up", 40_000, maxPID, func(u *User, pid, i int) { u.Lookup(pid+maxPID, 0x1000) }, false, 64 << 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := live()
			proc := t.TempDir()
			if err := os.Mkdir(filepath.Join(proc, strconv.Itoa(parent)), 0o755); err != nil {
				t.Fatal(err)
			}
			u := NewUser(View{ProcRoot: proc}) // without other processes
			many(3)(u, parent, 0)
			for i := range c.n {
				pid := 2 + i%c.pids
				u.Forked(pid, parent)
				c.child(u, pid, i)
				if !c.lost {
					u.Ended(pid)
				}
			}
			u.keep.idle()
			used := live() - before
			t.Logf("%d bytes, %d processes, %d ended", used, len(u.procs), len(u.past.lives))
			if used > c.most {
				t.Errorf("%d bytes are in use, more than %d", used, c.most)
			}
			images, size := 0, 0
			for _, p := range u.procs {
				images += len(p.images)
			}
			for _, e := range u.past.lives {
				size += e.size
			}
			if size != u.past.size || size > maxPastSize || len(u.past.lives) > MaxEnded || images > maxPastSize {
				t.Errorf("%d ended processes of size %d (%d by sum) and %d images are kept", len(u.past.lives), u.past.size, size, images)
			}
			if !c.lost && len(u.past.lives) < MaxEnded && size < maxPastSize-2*maxImages*100 {
				t.Errorf("only %d ended processes of size %d are kept", len(u.past.lives), size)
			}
			runtime.KeepAlive(u)
		})
	}
}

// TestEnded checks which processes are kept.
func TestEnded(t *testing.T) {
	u := NewUser(View{ProcRoot: t.TempDir()})
	m := Mapping{Start: 0x1000, End: 0x2000, Path: "/x"}
	for pid := 1; pid <= MaxEnded+100; pid++ {
		u.Mapped(pid, m)
		u.Ended(pid)
	}
	if len(u.procs) != MaxEnded || u.procs[1] != nil || u.procs[MaxEnded+100] == nil {
		t.Errorf("%d processes are known", len(u.procs))
	}
	for range 3 { // counted once
		u.Lookup(7, 0x1000)
		u.Lookup(MaxEnded+200, 0x1000) // was never known
		u.Lookup(MaxEnded+100, 0x1000) // is known
	}
	if n := u.Forgotten(); n != 1 {
		t.Errorf("%d processes were looked up too late", n)
	}
}

// TestForgottenID looks up a process that was dropped and whose ID another one has. The
// other one runs, has ended, or maps the address too.
func TestForgottenID(t *testing.T) {
	const pid, addr, other = 1 << 20, 0x1000, 0x9000
	for _, c := range []struct {
		name  string
		start uint64 // of what the other process maps
		ended bool
		want  int
	}{
		{"running", other, false, 1},
		{"ended", other, true, 1},
		{"same address", addr, false, 0},
	} {
		u := NewUser(View{ProcRoot: t.TempDir()})
		u.Mapped(pid, Mapping{Start: addr, End: addr + 0x1000, Path: "/x"})
		u.Ended(pid)
		u.Forked(pid, 1<<21)
		u.Mapped(pid, Mapping{Start: c.start, End: c.start + 0x1000, Path: "/y"})
		for i := range MaxEnded {
			u.Mapped(i+1, Mapping{Start: addr, End: addr + 0x1000, Path: "/x"})
			u.Ended(i + 1)
		}
		if c.ended {
			u.Ended(pid)
		}
		for range 3 { // counted once
			u.Lookup(pid, addr)
			u.Lookup(MaxEnded, addr) // is known
		}
		if n := u.Forgotten(); n != c.want {
			t.Errorf("%s: %d processes were looked up too late, want %d", c.name, n, c.want)
		}
	}
}

// TestReusedID drops the processes that had an ID in turn.
func TestReusedID(t *testing.T) {
	first, second := objects(t)
	u := NewUser(View{ProcRoot: t.TempDir()})
	const pid = 1 << 20
	second.Start, second.End = second.Start+0x700000, second.End+0x700000
	others := func(n int) {
		for i := range n {
			u.Mapped(i+1, Mapping{Start: 0x1000, End: 0x2000, Path: "/x"})
			u.Ended(i + 1)
		}
	}
	check := func(when, a, b string) {
		t.Helper()
		for addr, want := range map[uint64]string{first.Start: a, second.Start: b} {
			if f := u.Lookup(pid, addr)[0]; f.Name != want {
				t.Errorf("%s: %#x is %q, want %q", when, addr, f.Name, want)
			}
		}
	}
	u.Mapped(pid, first)
	u.Ended(pid)
	others(MaxEnded / 2)
	u.Forked(pid, 1<<21)
	u.Mapped(pid, second)
	check("running", "first_a", "second_a")
	u.Ended(pid)
	check("both ended", "first_a", "second_a")
	others(MaxEnded / 2)
	check("the first was dropped", "", "second_a")
	others(MaxEnded / 2)
	check("both were dropped", "", "")
}

// TestClosedFiles reads the symbols of more files than are kept.
func TestClosedFiles(t *testing.T) {
	first, second := objects(t)
	u := NewUser(View{ProcRoot: t.TempDir()})
	const pid = 1 << 20
	second.Start, second.End = second.Start+0x700000, second.End+0x700000
	u.Mapped(pid, first)
	u.Mapped(pid, second)
	names := func() string {
		return fmt.Sprint(u.Lookup(pid, first.Start)[0].Name, " ", u.Lookup(pid, second.Start)[0].Name)
	}
	var before []string
	for i := range 3 {
		got := names()
		before = append(before, got)
		if got != "first_a second_a" {
			t.Errorf("the names are %q", got)
		}
		for j := range maxFiles + 10 {
			u.lookups++
			u.Mapped(pid, Mapping{Start: 0x1000, End: 0x2000, Inode: "1", Path: filepath.Join("/none", strconv.Itoa(i), strconv.Itoa(j))})
			u.Lookup(pid, 0x1000)
		}
		if len(u.opened) > maxFiles || len(u.files) > maxFiles || len(u.builds) > maxFiles {
			t.Errorf("%d files are kept (%d, %d)", len(u.opened), len(u.files), len(u.builds))
		}
	}
	for _, name := range before { // their memory was not that of the files
		if name != "first_a second_a" {
			t.Errorf("a name is %q now", name)
		}
	}
	os.Remove(first.Path)
	if got := names(); got != " second_a" {
		t.Errorf("without the first file, the names are %q", got)
	}
}
