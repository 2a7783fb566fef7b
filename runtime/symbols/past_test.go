package symbols

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"
)

// live returns the number of bytes that are in use.
func live() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestPast reports many processes, and checks which of them are kept.
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
		pids  int // number of IDs
		child func(u *User, pid, i int)
		lost  bool // the ends are not reported
		all   bool // all are kept
		most  uint64
	}{
		{"forked", 200_000, maxPID, func(*User, int, int) {}, false, true, 72 << 20},
		{"addresses at random", 500_000, 32 << 10, func(u *User, pid, i int) {
			u.Executed(pid)
			at := 0x550000000 + uint64(i*7919)
			for j := range 5 {
				if j == 1 {
					at = 0x7f0000000 + uint64(i*104729)
				}
				u.Mapped(pid, Mapping{Start: at << 12, End: (at + 9) << 12, Dev: "08:01", Inode: strconv.Itoa(j), Path: "lib/" + strconv.Itoa(j)})
				at += 100
			}
		}, false, true, 72 << 20},
		{"few IDs", 70_000, 32 << 10, many(5), false, true, 16 << 20},
		{"one ID", 50_000, 1, many(5), false, true, 16 << 20},
		{"a hundred libraries", 7_000, maxPID, many(100), false, true, 16 << 20},
		{"ends are lost", 60_000, maxPID, many(5), true, true, 48 << 20},
		{"ends and few IDs", 40_000, 32 << 10, many(5), true, true, 48 << 20},
		{"twenty programs", 24_000, maxPID, func(u *User, pid, i int) {
			for range 20 {
				many(2)(u, pid, i)
			}
		}, false, true, 16 << 20},
		{"a file for each process", 200_000, maxPID, func(u *User, pid, i int) {
			u.Executed(pid)
			m := at(i)
			m.Path = "/" + m.Path
			u.Mapped(pid, m)
		}, false, false, 96 << 20},
		{"looked up", 40_000, maxPID, func(u *User, pid, i int) { u.Lookup(pid+maxPID, 0x1000) }, false, true, 16 << 20},
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
				u.Forked(pid, parent, monotonic())
				c.child(u, pid, i)
				if !c.lost {
					u.Ended(pid)
				}
			}
			u.AwaitFiles(time.After(time.Minute))
			used := live() - before
			h := &u.past
			kept := int(h.next() - h.first)
			t.Logf("%d bytes, %d running, %d ended of %d bytes with %d shapes", used, len(u.procs), kept, h.size+h.shapes.size, len(h.shapes.byHash))
			if used > c.most {
				t.Errorf("%d bytes are in use, more than %d", used, c.most)
			}
			if kept+h.lost+len(u.procs)-1 != c.n {
				t.Errorf("%d are kept, %d dropped, %d run, want %d in all", kept, h.lost, len(u.procs)-1, c.n)
			}
			if c.all != (h.lost == 0) {
				t.Errorf("%d were dropped", h.lost)
			}
			if h.size+h.shapes.size > h.most {
				t.Errorf("their size is %d", h.size+h.shapes.size)
			}
			checkEmpty(t, h)
			runtime.KeepAlive(u)
		})
	}
}

// checkEmpty drops all but the last block, and checks that only the data of its lives is
// left.
func checkEmpty(t *testing.T, h *past) {
	t.Helper()
	if len(h.blocks) == 0 {
		return
	}
	h.most, h.inUse = 0, nil
	h.trim()
	uses := 0
	for _, s := range h.shapes.list {
		if s != nil {
			uses += s.uses
		}
	}
	b := h.blocks[0]
	images := 0
	for i := range b.lives[:b.n] {
		images += len(h.unpack(b.bytes[b.lives[i].at:]))
	}
	if uses != images || len(h.newest) > b.n || h.size != blockSize+cap(b.bytes)+perLife*b.n {
		t.Errorf("%d uses of shapes, %d images, %d IDs, size %d", uses, images, len(h.newest), h.size)
	}
}

// fill ends processes with other IDs until the lives known so far are dropped.
func fill(u *User) {
	last := u.past.next()
	u.past.most = 10 * blockSize
	for i := 0; u.past.first < last; i++ {
		u.Mapped(i%blockLives+1, Mapping{Start: 0x1000, End: 0x2000, Path: "/x"})
		u.Ended(i%blockLives + 1)
	}
}

// TestEnded checks which processes are kept.
func TestEnded(t *testing.T) {
	u := NewUser(View{ProcRoot: t.TempDir()})
	const first, second, never = 1 << 20, 1<<20 + 1, 1<<20 + 2
	m := Mapping{Start: 0x1000, End: 0x2000, Path: "/x"}
	u.Mapped(first, m)
	u.Ended(first)
	fill(u)
	u.Mapped(second, m)
	u.Ended(second)
	if u.past.last(first) != nil || u.past.last(second) == nil {
		t.Error("the wrong process is kept")
	}
	for range 3 { // counted once
		u.Lookup(first, 0x1000)
		u.Lookup(second, 0x1000)
		u.Lookup(never, 0x1000)
	}
	if n, dropped := u.Forgotten(); n != 1 || dropped < blockLives || dropped%blockLives != 0 {
		t.Errorf("%d of %d processes were looked up too late", n, dropped)
	}
}

// TestInUse drops processes while some are in use.
func TestInUse(t *testing.T) {
	used := map[int]bool{}
	for i := range 100 {
		used[i*97+5] = true
	}
	u := NewUser(View{ProcRoot: t.TempDir(), InUse: func(note func(pid int)) {
		for pid := range used {
			note(pid)
		}
	}})
	u.past.most = 64 * blockSize
	at := func(i int) uint64 { return uint64(i+1) << pageBits }
	end := func(from, to int) {
		for i := from; i < to; i++ {
			u.Mapped(i, Mapping{Start: at(i), End: at(i + 1), Path: "lib"})
			u.Ended(i)
		}
	}
	knows := func(i int) bool {
		c, n := u.programOf(i, []uint64{at(i)})
		return n == 1 && c.p.pid == i
	}
	const n = 200_000
	end(0, n)
	end(0, 10_000) // the same IDs again
	for pid := range used {
		if !knows(pid) {
			t.Fatalf("process %d is not known, which is in use", pid)
		}
		lives := 0
		u.past.lives(pid, func(*process, uint64) bool { lives++; return true })
		if lives != 2 {
			t.Errorf("process %d has %d lives", pid, lives)
		}
	}
	if knows(20_000) || !knows(n-1) {
		t.Error("the wrong processes are kept")
	}
	clear(used)
	end(10_000, n)
	if len(u.past.older) > 0 || u.past.sizeOlder != 0 || u.past.size+u.past.shapes.size > u.past.most {
		t.Errorf("%d IDs are kept in %d of %d bytes", len(u.past.older), u.past.sizeOlder, u.past.size)
	}
	for i := range n {
		used[i] = true
	}
	end(0, n) // there is no room for all of them
	if u.past.size+u.past.shapes.size > u.past.most || u.past.sizeOlder > u.past.most/2+perOlder+100 {
		t.Errorf("%d and %d of %d bytes are in use", u.past.size, u.past.sizeOlder, u.past.most)
	}
	clear(used)
	u.past.trimOlder(nil)
	checkEmpty(t, &u.past)
}

// TestPacked packs processes at random and compares them when they are looked up.
func TestPacked(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var h past
	h.most = maxPast
	type had struct {
		p  *process
		id int
	}
	var all []had
	var parent *image
	for range 5000 {
		p := &process{pid: rnd.IntN(200), parent: rnd.IntN(200)}
		for range 1 + rnd.IntN(maxImages) {
			im := &image{}
			if parent != nil && rnd.IntN(3) == 0 {
				im = parent.copy()
			}
			for range rnd.IntN(rnd.IntN(80) + 1) {
				at := rnd.Uint64() >> (rnd.IntN(50)) &^ 0xfff
				if rnd.IntN(50) == 0 {
					at++
				}
				im.add(mapping{start: at, end: at + 0x1000, offset: uint64(rnd.IntN(3)), file: &fileID{path: strconv.Itoa(rnd.IntN(4))}})
			}
			p.images = append(p.images, im)
			parent = im
		}
		h.add(p)
		all = append(all, had{p, p.pid})
	}
	for id := range 200 {
		i := len(all)
		h.lives(id, func(p *process, _ uint64) bool {
			for i--; i >= 0 && (all[i].id != id || nothing(all[i].p)); i-- {
			}
			want := all[i].p
			if p.parent != want.parent || !slices.EqualFunc(p.images, want.images, func(a, b *image) bool {
				return slices.EqualFunc(a.maps, b.maps, func(a, b mapping) bool { return alike(&a, &b, true) })
			}) {
				t.Fatalf("process %d has changed", id)
			}
			return true
		})
		for i--; i >= 0; i-- {
			if all[i].id == id && !nothing(all[i].p) {
				t.Fatalf("a process %d is missing", id)
			}
		}
	}
}

func nothing(p *process) bool { return len(p.images) == 1 && len(p.images[0].maps) == 0 }

// TestForgottenID looks up a process that was dropped and whose ID another process has.
// The other process runs, has ended, or maps the address too.
func TestForgottenID(t *testing.T) {
	const pid, addr, other = 1 << 20, 0x1000, 0x9000
	for _, c := range []struct {
		name  string
		start uint64 // address that the other process maps
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
		u.Forked(pid, 1<<21, monotonic())
		u.Mapped(pid, Mapping{Start: c.start, End: c.start + 0x1000, Path: "/y"})
		fill(u)
		if c.ended {
			u.Ended(pid)
		}
		for range 3 { // counted once
			u.Lookup(pid, addr)
			u.Lookup(1, 0x1000) // is known
		}
		if n, _ := u.Forgotten(); n != c.want {
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
	for i := range 2 * blockLives { // two blocks of others
		u.Mapped(i+1, Mapping{Start: 0x1000, End: 0x2000, Path: "/x"})
		u.Ended(i + 1)
	}
	u.Forked(pid, 1<<21, monotonic())
	u.Mapped(pid, second)
	check("running", "first_a", "second_a")
	u.Ended(pid)
	check("both ended", "first_a", "second_a")
	u.past.most = u.past.size + u.past.shapes.size - 1
	u.past.trim()
	check("the first was dropped", "", "second_a")
	fill(u)
	check("both were dropped", "", "")
}

// TestAmbiguous looks up addresses that two programs map.
func TestAmbiguous(t *testing.T) {
	first, second := objects(t)
	moved := second
	moved.Start, moved.End = moved.Start+0x700000, moved.End+0x700000
	const pid = 1 << 20
	at := []uint64{first.Start}
	for _, c := range []struct {
		name string
		maps []Mapping // of the processes that have the ID in turn
		how  string    // they are programs of one process ("exec"), or one program maps one after the other ("map")
		want int
	}{
		{"other code", []Mapping{first, second}, "", 1},
		{"other code, three times", []Mapping{first, second, first}, "", 1},
		{"equal code", []Mapping{first, first}, "", 0},
		{"elsewhere", []Mapping{first, moved}, "", 0},
		{"executed", []Mapping{first, second}, "exec", 0},
		{"loaded where another library was", []Mapping{first, second}, "map", 1},
		{"loaded again", []Mapping{first, first}, "map", 0},
	} {
		u := NewUser(View{ProcRoot: t.TempDir()})
		for _, m := range c.maps {
			if c.how != "map" {
				u.Executed(pid)
			}
			u.Mapped(pid, m)
			if c.how == "" {
				u.Ended(pid)
			}
		}
		u.Stack(pid, at)
		u.Stack(pid, at)
		if n := u.Ambiguous(); n != c.want {
			t.Errorf("%s: %d process IDs, want %d", c.name, n, c.want)
		}
	}
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
	u.AwaitFiles(nil)
	u.Close() // the files that are open for processes that have ended
	os.Remove(first.Path)
	if got := names(); got != " second_a" {
		t.Errorf("without the first file, the names are %q", got)
	}
}
