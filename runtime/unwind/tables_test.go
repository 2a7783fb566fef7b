package unwind

import (
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/runtime/unwind/cfi"
)

// memoryModel is the memory that programs see, with a model of how programs search it.
type memoryModel struct {
	rules  []byte
	chunks [][]byte
	procs  map[int]uint64
	files  map[FileID]uint64
}

func newModel() *memoryModel {
	return &memoryModel{rules: make([]byte, RulesSize), procs: map[int]uint64{}, files: map[FileID]uint64{}}
}

func (m *memoryModel) memory() Memory {
	return Memory{
		Rules: m.rules,
		Chunk: func() ([]byte, error) {
			m.chunks = append(m.chunks, make([]byte, ChunkSize+ChunkSlack))
			return m.chunks[len(m.chunks)-1], nil
		},
		SetProcess: func(pid int, list uint64) error {
			if m.procs[pid] = list; list == 0 {
				delete(m.procs, pid)
			}
			return nil
		},
		SetFile: func(id FileID, list uint64) error {
			if m.files[id] = list; list == 0 {
				delete(m.files, id)
			}
			return nil
		},
	}
}

// find returns the kind of the mapping of an address, and its rule.
func (m *memoryModel) find(pid int, pc uint64) (kind int, rule []byte) {
	ne := binary.NativeEndian
	list := m.procs[pid]
	if list == 0 {
		return -1, nil
	}
	b := m.chunks[list>>ListChunk&0xffff][uint32(list):]
	for i := range int(list >> ListCount) {
		e := b[i*EntrySize:]
		if pc < ne.Uint64(e[EntryStart:]) || pc >= ne.Uint64(e[EntryEnd:]) {
			continue
		}
		kind = int(ne.Uint16(e[EntryKind:]))
		if kind != HasTable {
			return kind, nil
		}
		chunk := m.chunks[ne.Uint16(e[EntryChunk:])]
		at := ne.Uint32(e[EntrySeg:])
		rel := pc - ne.Uint64(e[EntryOrigin:])
		page := chunk[uint64(at)+rel/PageSize*4:]
		first, next := ne.Uint32(page[SegPages:]), ne.Uint32(page[SegPages+4:])
		n := first & 0xffff
		for row := first >> PageRow; row < next>>PageRow; row++ {
			if chunk[ne.Uint32(chunk[at+SegPCs:])+row] <= byte(rel) {
				n = uint32(ne.Uint16(chunk[ne.Uint32(chunk[at+SegRules:])+2*row:]))
			}
		}
		return kind, m.rules[n*RuleSize : (n+1)*RuleSize]
	}
	return -1, nil
}

// TestFilesInMemory builds the tables of this machine's programs and libraries. It
// looks addresses up as programs do: each rule must be the one that package cfi read.
func TestFilesInMemory(t *testing.T) {
	m := newModel()
	tables := New(AMD64, m.memory(), "/proc", nil)
	defer tables.Close()
	rng := rand.New(rand.NewPCG(1, 2))
	files := 0
	for i, path := range []string{"/usr/lib/x86_64-linux-gnu/libc.so.6", "/usr/bin/bash", "/usr/lib/x86_64-linux-gnu/libcrypto.so.3", "/proc/self/exe", "/usr/bin/node", "/usr/bin/gdb"} {
		r, err := os.Open(path)
		if err != nil {
			continue
		}
		defer r.Close()
		began := time.Now()
		frames, err := cfi.ReadFile(r, nil, nil)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		read := time.Since(began)
		list := drafts(frames, maxGap)
		f := &file{key: fileKey{inode: uint64(i + 1)}, users: map[*process]bool{}}
		tables.mu.Lock()
		tables.files[f.key] = f
		tables.mu.Unlock()
		tables.finish(f, NoTable, frames, list, nil)
		files++
		info, _ := r.Stat()
		t.Logf("%s: %d KiB, %d rows, %d segments, read in %v, made in %v", path, info.Size()>>10, len(frames.List), len(list), read, time.Since(began))
		pid := 100 + i
		const base = 0x7f1234560000
		for _, c := range frames.Code {
			off := c.Off &^ 4095
			tables.Mapped(pid, Mapping{Start: base + off, End: base + (c.Off+c.Size+4095)&^4095, Offset: off, Inode: uint64(i + 1), Path: path})
		}
		tables.Flush()
		check := func(pc uint64) {
			for _, c := range frames.Code {
				if pc < c.Addr || pc-c.Addr >= c.Size {
					continue
				}
				want := make([]byte, RuleSize)
				putRule(want, frames.At(pc), AMD64)
				kind, got := m.find(pid, base+pc-c.Addr+c.Off)
				if kind == NoTable && want[RuleKind] == byte(cfi.NoTable) {
					continue
				}
				if string(got) != string(want) {
					t.Fatalf("%s: %#x: kind %d, rule %x, want %x", path, pc, kind, got, want)
				}
			}
		}
		for range 20000 {
			row := frames.List[rng.IntN(len(frames.List))]
			for _, d := range []uint64{0, ^uint64(0), 1, uint64(rng.IntN(300))} {
				check(row.PC + d)
			}
		}
	}
	t.Logf("%d files: %+v", files, tables.Stats())
}

// TestFirstRound looks up addresses of a file before its code without rows has been followed,
// and after: until then, nothing says that this code has no table.
func TestFirstRound(t *testing.T) {
	m := newModel()
	tables := New(AMD64, m.memory(), "/nonexistent", nil)
	defer tables.Close()
	frames := &cfi.File{Code: []cfi.Span{{Off: 0x1000, Addr: 0x1000, Size: 0x5000}}}
	frames.Rules = []cfi.Rule{{}, {Kind: cfi.Register, CFA: 8, RA: -8}}
	frames.List = []cfi.Row{{PC: 0x2000, Rule: 1}, {PC: 0x2100, Rule: 0}, {PC: 0x2200, Rule: 1}, {PC: 0x2300, Rule: 0}}
	f := &file{key: fileKey{inode: 1}, users: map[*process]bool{}}
	tables.files[f.key] = f
	tables.Mapped(1, Mapping{Start: 0x1000, End: 0x6000, Offset: 0x1000, Inode: 1, Path: "/a"})
	look := func(round string, want map[uint64]int) {
		t.Helper()
		tables.Flush()
		for pc, kind := range want {
			got, rule := m.find(1, pc)
			if got == HasTable && rule[RuleKind] == byte(cfi.NoTable) {
				got = NoTable
			}
			if got != kind {
				t.Errorf("%s round: kind %d at %#x, want %d", round, got, pc, kind)
			}
		}
	}
	tables.finishFirst(f, frames)
	look("first", map[uint64]int{0x1000: Pending, 0x2000: HasTable, 0x20ff: HasTable, 0x2100: Pending, 0x21ff: Pending, 0x2200: HasTable, 0x2300: Pending, 0x5fff: Pending})
	tables.finish(f, NoTable, frames, drafts(frames, maxGap), nil)
	look("second", map[uint64]int{0x1000: NoTable, 0x2000: HasTable, 0x2100: NoTable, 0x2200: HasTable, 0x2300: NoTable, 0x5fff: NoTable})
}

// TestMappings follows a process through mappings, a fork, an executed program and
// its end.
func TestMappings(t *testing.T) {
	m := newModel()
	mem := m.memory()
	mem.SetFile = nil // so a fork has its parent's list at once
	tables := New(AMD64, mem, "/nonexistent", nil)
	defer tables.Close()
	anon := func(start, end uint64) { tables.Mapped(1, Mapping{Start: start, End: end}); tables.Flush() }
	want := func(pid int, at map[uint64]int) {
		t.Helper()
		for pc, kind := range at {
			if got, _ := m.find(pid, pc); got != kind {
				t.Errorf("process %d, address %#x: %d, want %d", pid, pc, got, kind)
			}
		}
	}
	anon(0x1000, 0x9000)
	want(1, map[uint64]int{0xfff: -1, 0x1000: FramePointer, 0x8fff: FramePointer, 0x9000: -1})
	tables.Mapped(1, Mapping{Start: 0x3000, End: 0x4000, Path: "[uprobes]"})
	tables.Flush()
	want(1, map[uint64]int{0x2fff: FramePointer, 0x3000: Trampoline, 0x3fff: Trampoline, 0x4000: FramePointer})
	tables.Forked(2, 1)
	want(2, map[uint64]int{0x2fff: FramePointer, 0x3000: Trampoline})
	anon(0x3000, 0x5000)
	want(1, map[uint64]int{0x3000: FramePointer})
	want(2, map[uint64]int{0x3000: Trampoline})
	tables.Executed(1)
	tables.Flush()
	want(1, map[uint64]int{0x3000: -1})
	want(2, map[uint64]int{0x3000: Trampoline})
	tables.Ended(2)
	want(2, map[uint64]int{0x3000: -1})
	if n := len(m.procs); n != 0 {
		t.Errorf("%d lists are left", n)
	}
}

// TestForkWaits checks that a new process has no list at first, if programs can find the
// files of mappings: its parent's list would be wrong if it executes a program.
func TestForkWaits(t *testing.T) {
	m := newModel()
	tables := New(AMD64, m.memory(), "/nonexistent", nil)
	tables.forkWait = time.Hour
	defer tables.Close()
	find := func(pid int, want int) {
		t.Helper()
		tables.Flush()
		if kind, _ := m.find(pid, 0x1000); kind != want {
			t.Errorf("process %d: %d, want %d", pid, kind, want)
		}
	}
	tables.Mapped(1, Mapping{Start: 0x1000, End: 0x9000})
	find(1, FramePointer)
	tables.Forked(2, 1)
	tables.Forked(3, 1)
	find(2, -1)
	tables.procs[2].waits = time.Now() // it goes on without executing a program
	find(2, FramePointer)
	tables.Executed(3)
	tables.Mapped(3, Mapping{Start: 0x5000, End: 0x9000})
	find(3, -1)
	tables.Mapped(3, Mapping{Start: 0x1000, End: 0x2000})
	find(3, FramePointer)
}

// TestMissingFile checks that a file that could not be opened is retried when another
// process maps it.
func TestMissingFile(t *testing.T) {
	m := newModel()
	tables := New(AMD64, m.memory(), "/nonexistent", nil)
	defer tables.Close()
	key := Mapping{Start: 0x1000, End: 0x9000, Dev: 1, Inode: 2, Path: "/nonexistent/file"}
	failures := func() int { return tables.Stats().Failed }
	for n := 1; n <= 3; n++ {
		tables.Mapped(n, key)
		for failures() < n {
			runtime.Gosched()
		}
		tables.mu.Lock()
		for _, f := range tables.files {
			f.failed = f.failed.Add(-2 * retryAfter)
		}
		tables.mu.Unlock()
	}
	if kind, _ := m.find(1, 0x1000); kind == NoTable {
		t.Error("the file counts as one without a table")
	}
}

// TestReplacedFile gives the inode of a file to other contents: the file is written, and
// then the log says that the inode has another generation. Programs must find only the
// tables of the current contents.
func TestReplacedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "program")
	write := func(from string) {
		t.Helper()
		data, err := os.ReadFile(from)
		if err != nil {
			t.Skip(err)
		}
		if err := os.WriteFile(path, data, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	write("/bin/true")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	st := info.Sys().(*syscall.Stat_t)
	m := newModel()
	tables := New(AMD64, m.memory(), "/nonexistent", nil)
	tables.patience = time.Minute
	defer tables.Close()
	pid := 0
	var before FileID
	check := func(what string, generation uint64, same bool) {
		t.Helper()
		pid++
		tables.mu.Lock()
		for _, f := range tables.files {
			f.checked = time.Time{}
		}
		tables.mu.Unlock()
		tables.Mapped(pid, Mapping{
			Start: 0x1000, End: 0x9000, Dev: uint64(unix.Major(st.Dev))<<32 | uint64(unix.Minor(st.Dev)),
			Inode: st.Ino, Generation: generation, Path: path,
		})
		tables.Await(pid, time.After(time.Minute))
		tables.mu.Lock()
		defer tables.mu.Unlock()
		if len(m.files) != 1 {
			t.Fatalf("%s: programs know %d files, want 1", what, len(m.files))
		}
		for id := range m.files {
			if pid > 1 && (id == before) != same {
				t.Errorf("%s: %x after %x", what, id, before)
			}
			before = id
		}
		if want := map[bool]int{true: 1}[generation == 8] + map[bool]int{true: 1}[pid > 2]; len(tables.retired) != want {
			t.Errorf("%s: %d files were replaced, want %d", what, len(tables.retired), want)
		}
	}
	check("new", 7, false)
	check("mapped again", 7, true)
	write("/bin/sh")
	check("written", 7, false)
	check("mapped again", 7, true)
	check("another generation", 8, true)
}

// TestSilentFileSystem maps a file whose file system does not answer when the file is
// checked again. Other files must get their tables.
func TestSilentFileSystem(t *testing.T) {
	dir := t.TempDir()
	m := newModel()
	tables := New(AMD64, m.memory(), "/nonexistent", nil)
	silent, answer := filepath.Join(dir, "silent"), make(chan struct{})
	tables.stat = func(path string) (os.FileInfo, error) {
		if filepath.Base(path) == "silent" {
			<-answer
		}
		return os.Stat(path)
	}
	tables.openFile = func(path string) (*os.File, error) {
		if strings.HasPrefix(filepath.Base(path), "hung") {
			<-answer
		}
		return openRead(path)
	}
	defer tables.Close()
	pid := 0
	mapped := func(path string) {
		t.Helper()
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		st := info.Sys().(*syscall.Stat_t)
		tables.mu.Lock()
		for _, f := range tables.files {
			f.checked = time.Time{}
		}
		tables.mu.Unlock()
		pid++
		tables.Mapped(pid, Mapping{
			Start: 0x1000, End: 0x9000, Dev: uint64(unix.Major(st.Dev))<<32 | uint64(unix.Minor(st.Dev)), Inode: st.Ino, Path: path,
		})
		tables.Await(pid, time.After(time.Minute))
	}
	data, err := os.ReadFile("/bin/true")
	if err != nil {
		t.Skip(err)
	}
	for _, name := range []string{"silent", "other"} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	mapped(silent)
	for range 100 { // only the first waits
		mapped(silent)
	}
	mapped(filepath.Join(dir, "other"))
	if len(m.files) != 2 {
		t.Errorf("programs know %d files, want 2", len(m.files))
	}
	// A file of another device is not even opened. The next one of this device must wait.
	hung := []Mapping{
		{Start: 0x1000, End: 0x9000, Dev: 77, Inode: 1, Path: filepath.Join(dir, "hung1")},
		{Start: 0x11000, End: 0x19000, Dev: 77, Inode: 2, Path: filepath.Join(dir, "hung2")},
		{Start: 0x21000, End: 0x29000, Dev: 77, Inode: 3, Path: filepath.Join(dir, "hung3")},
	}
	for _, m := range hung {
		tables.Mapped(1000, m)
	}
	if err := os.WriteFile(filepath.Join(dir, "third"), append(data, 1), 0o700); err != nil {
		t.Fatal(err)
	}
	mapped(filepath.Join(dir, "third"))
	if len(m.files) != 3 {
		t.Errorf("programs know %d files, want 3", len(m.files))
	}
	close(answer)
	tables.Await(1000, time.After(time.Minute)) // all three are tried when the answer comes
	tables.mu.Lock()
	defer tables.mu.Unlock()
	if len(tables.queue) > 0 {
		t.Errorf("%d files are left in the queue", len(tables.queue))
	}
}

// TestMemory allocates and frees blocks at random. No two may overlap.
func TestMemory(t *testing.T) {
	made := 0
	mem := memory{make: func() ([]byte, error) { made++; return make([]byte, ChunkSize), nil }}
	rng := rand.New(rand.NewPCG(3, 4))
	var held []block
	for range 5000 {
		if len(held) > 0 && rng.IntN(3) == 0 {
			i := rng.IntN(len(held))
			mem.release(held[i])
			held[i] = held[len(held)-1]
			held = held[:len(held)-1]
			if rng.IntN(4) == 0 {
				mem.reclaim(time.Now().Add(2 * grace))
			}
			continue
		}
		b, _, err := mem.alloc(1 + rng.IntN(ChunkSize/8))
		if err != nil {
			continue
		}
		for _, o := range held {
			if o.chunk == b.chunk && o.off < b.off+b.size && b.off < o.off+o.size {
				t.Fatalf("%+v and %+v overlap", o, b)
			}
		}
		held = append(held, b)
	}
	for _, b := range held {
		mem.release(b)
	}
	mem.reclaim(time.Now().Add(2 * grace))
	if mem.used != 0 || made > MaxChunks {
		t.Errorf("%d bytes are left in use, %d chunks", mem.used, made)
	}
	for i, c := range mem.chunks {
		if len(c.free) != 1 || c.free[0] != (span{0, ChunkSize}) {
			t.Errorf("chunk %d has %v free", i, c.free)
		}
	}
}
