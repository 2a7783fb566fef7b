package unwind

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/gotrace/gotrace/runtime/unwind/cfi"
)

// Memory is the memory that this process shares with the programs.
type Memory struct {
	Rules []byte // RulesMap's element
	// Chunk allocates the next element of ChunksMap and returns its memory.
	Chunk func() ([]byte, error)
	// SetProcess sets a process's list in ProcsMap, or deletes it if list is 0.
	SetProcess func(pid int, list uint64) error
	// SetFile sets a file's list in FilesMap, or deletes it if list is 0. It is nil if
	// programs cannot find the file of a mapping.
	SetFile func(device, inode, list uint64) error
}

// Tables tracks the mappings of all processes and maintains the programs' tables. Its
// methods may be called from any goroutine. Changes become visible to programs at the
// next Flush.
type Tables struct {
	arch     *Arch
	mem      Memory
	procRoot string

	mu      sync.Mutex
	memory  memory
	rules   map[cfi.Rule]uint16
	files   map[fileKey]*file
	byBuild map[string]*file
	procs   map[int]*process
	dirty   []*process
	queue   []*file      // files whose tables have yet to be built
	first   map[int]bool // processes whose files have priority, and their descendants
	wake    chan struct{}
	made    chan struct{} // closed, and replaced, when the tables of a file are complete
	stop    chan struct{}
	stopped sync.WaitGroup
	stats   Stats
}

// Stats holds the cost of the tables.
type Stats struct {
	Files, Shared   int // files with tables, and those that share another file's tables
	Processes       int
	Rules, Rows     int
	Bytes, Chunks   int
	NoRoom          int           // files for which no memory was left
	Longest, Total  time.Duration // time to build the tables of one file, and of all
	Failed          int           // files that could not be read
	LongestFileSize int64
}

// Mapping is an executable mapping of a process.
type Mapping struct {
	Start, End, Offset uint64
	Dev, Inode         uint64
	Path               string // "" for memory without a file
}

// fileKey identifies a mapped file.
type fileKey struct {
	dev, inode uint64
	special    string // for mappings of the kernel, such as [vdso]
}

// file is a mapped file.
type file struct {
	key    fileKey
	path   string // in the mount namespace of its users
	kind   int    // kind of the entries for addresses without a segment
	segs   []segment
	users  map[*process]bool
	same   *file // another file with the same contents, whose tables are used
	ready  bool
	build  string
	failed time.Time // when the file could not be opened
	idle   time.Time // when its last user unmapped it
	list   block     // entry in FilesMap
	first  bool      // a preferred process has mapped it
}

// process holds the mappings of a process.
type process struct {
	pid    int
	maps   []mapping // by address
	shared *listRef
	dirty  bool
	gone   bool
	waits  time.Time // until when its list is not made
}

// forkWait is how long a new process has no list if programs can do without. Its list
// would be that of its parent, and wrong as soon as it executes a program.
const forkWait = 100 * time.Millisecond

type mapping struct {
	start, end, offset uint64
	file               *file // nil: memory without a file
}

// listRef counts the processes that use a list. Processes share it after a fork.
type listRef struct {
	block
	word uint64
	n    int
}

// New returns tables for the processes in procfs, which is mounted at procRoot.
func New(arch *Arch, mem Memory, procRoot string) *Tables {
	t := &Tables{
		arch: arch, mem: mem, procRoot: procRoot,
		rules: map[cfi.Rule]uint16{}, files: map[fileKey]*file{}, byBuild: map[string]*file{}, procs: map[int]*process{}, first: map[int]bool{},
		wake: make(chan struct{}, 1), made: make(chan struct{}), stop: make(chan struct{}),
	}
	t.memory.make = mem.Chunk
	t.rule(cfi.Rule{})
	t.rule(cfi.Rule{Kind: cfi.Unknown})
	t.stopped.Add(1)
	go t.build()
	return t
}

// Close stops building tables.
func (t *Tables) Close() {
	close(t.stop)
	t.stopped.Wait()
}

// Prefer gives priority to the files that a process and its future children map from
// now on.
func (t *Tables) Prefer(pid int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.first[pid] = true
}

// Await waits until the tables of all files that a process maps have been built or have
// failed, or until the time most has passed.
func (t *Tables) Await(pid int, most time.Duration) {
	late := time.After(most)
	for {
		t.mu.Lock()
		made, ready := t.made, true
		if p := t.procs[pid]; p != nil {
			for _, m := range p.maps {
				ready = ready && (m.file == nil || m.file.ready || !m.file.failed.IsZero())
			}
		}
		t.mu.Unlock()
		if ready {
			return
		}
		select {
		case <-made:
		case <-late:
			return
		}
	}
}

// next removes from the queue the file whose tables are most urgent: one of a preferred
// process, or else the one that the most processes, or the most recent ones, map.
func (t *Tables) next() *file {
	best, most := -1, -1
	for i, f := range t.queue {
		n := len(f.users)
		if f.first {
			n = 1 << 30
		}
		if n >= most {
			best, most = i, n
		}
	}
	if best < 0 {
		return nil
	}
	f := t.queue[best]
	t.queue = slices.Delete(t.queue, best, best+1)
	return f
}

// Stats returns the cost of the tables so far.
func (t *Tables) Stats() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.stats
	s.Rules, s.Bytes, s.Chunks = len(t.rules), t.memory.used, len(t.memory.chunks)
	s.Processes = len(t.procs)
	return s
}

// rule returns the number of a rule. It adds the rule if it is new. If the list of
// rules is full, it returns the number of cfi.Unknown.
func (t *Tables) rule(r cfi.Rule) uint16 {
	n, ok := t.rules[r]
	if ok {
		return n
	}
	if len(t.rules) >= MaxRules {
		return t.rules[cfi.Rule{Kind: cfi.Unknown}]
	}
	n = uint16(len(t.rules))
	t.rules[r] = n
	putRule(t.mem.Rules[int(n)*RuleSize:], r, t.arch)
	return n
}

// Mapped records a mapping of a process.
func (t *Tables) Mapped(pid int, m Mapping) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mapped(t.process(pid), m)
}

func (t *Tables) process(pid int) *process {
	p := t.procs[pid]
	if p == nil {
		p = &process{pid: pid}
		t.procs[pid] = p
	}
	return p
}

func (t *Tables) mapped(p *process, m Mapping) {
	if m.End <= m.Start {
		return
	}
	n := mapping{start: m.Start, end: m.End, offset: m.Offset, file: t.fileOf(m)}
	var kept []mapping
	for _, o := range p.maps {
		if o.end <= n.start || n.end <= o.start {
			kept = append(kept, o)
			continue
		}
		if o.start < n.start { // the parts of the old mapping that the new one leaves
			kept = append(kept, mapping{o.start, n.start, o.offset, o.file})
		}
		if n.end < o.end {
			kept = append(kept, mapping{n.end, o.end, o.offset + (n.end - o.start), o.file})
		}
	}
	i, _ := slices.BinarySearchFunc(kept, n.start, func(m mapping, a uint64) int { return cmp.Compare(m.start, a) })
	p.maps = slices.Insert(kept, i, n)
	n.file.use(p)
	if t.first[p.pid] && n.file != nil && !n.file.ready {
		n.file.first = true
	}
	t.mark(p)
}

func (t *Tables) mark(p *process) {
	if !p.dirty {
		p.dirty = true
		t.dirty = append(t.dirty, p)
	}
}

// Files without tables.
var (
	trampoline = &file{kind: Trampoline, ready: true}
	vsyscall   = &file{kind: NoTable, ready: true}
)

// retryAfter is how long after a failure the next mapping of a file has it opened
// again.
const retryAfter = 10 * time.Millisecond

// fileOf returns the file of a mapping, or nil if it has none.
func (t *Tables) fileOf(m Mapping) *file {
	key := fileKey{dev: m.Dev, inode: m.Inode}
	switch {
	case m.Path == "[vdso]":
		key = fileKey{special: m.Path}
	case m.Path == "[uprobes]":
		return trampoline
	case m.Path == "[vsyscall]":
		return vsyscall
	case m.Path == "" || m.Path[0] != '/' || m.Inode == 0:
		return nil
	}
	f := t.files[key]
	again := f != nil && !f.failed.IsZero() && time.Since(f.failed) > retryAfter
	if f == nil || again {
		if again {
			f.failed = time.Time{}
		} else {
			f = &file{key: key, path: m.Path, kind: Pending, users: map[*process]bool{}}
			t.files[key] = f
		}
		t.queue = append(t.queue, f)
		select {
		case t.wake <- struct{}{}:
		default:
		}
	}
	return f
}

// Forked records that a process started as a copy of its parent.
func (t *Tables) Forked(pid, parent int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.first[parent] {
		t.first[pid] = true
	}
	from := t.procs[parent]
	if from == nil {
		return
	}
	t.forget(pid)
	p := t.process(pid)
	p.maps = slices.Clone(from.maps)
	for _, m := range p.maps {
		m.file.use(p)
	}
	if t.mem.SetFile != nil { // the programs find the files, and it will likely execute a program
		p.waits = time.Now().Add(forkWait)
	} else if from.shared != nil && !from.dirty {
		p.shared = from.shared
		p.shared.n++
		t.set(p, p.shared.word)
		return
	}
	t.mark(p)
}

// Executed records that a process executed another program, which unmapped all of
// its memory.
func (t *Tables) Executed(pid int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forget(pid)
}

// Ended records the end of a process.
func (t *Tables) Ended(pid int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forget(pid)
	delete(t.first, pid)
}

// use records that a process maps the file.
func (f *file) use(p *process) {
	if f != nil && f.users != nil {
		f.users[p] = true
	}
}

// forget removes the information about a process.
func (t *Tables) forget(pid int) {
	p := t.procs[pid]
	if p == nil {
		return
	}
	delete(t.procs, pid)
	p.gone = true
	if p.shared != nil {
		t.set(p, 0)
		t.drop(p)
	}
	for _, m := range p.maps {
		if m.file != nil {
			delete(m.file.users, p)
			if len(m.file.users) == 0 {
				m.file.idle = time.Now()
			}
		}
	}
}

// drop releases the list of a process.
func (t *Tables) drop(p *process) {
	if p.shared == nil {
		return
	}
	if p.shared.n--; p.shared.n == 0 {
		t.memory.release(p.shared.block)
	}
	p.shared = nil
}

func (t *Tables) set(p *process, word uint64) { _ = t.mem.SetProcess(p.pid, word) }

// alloc returns memory for a list or a segment. If there is none left, it releases the
// tables of files that no process maps.
func (t *Tables) alloc(size int) (block, []byte, error) {
	b, mem, err := t.memory.alloc(size)
	if err == nil {
		return b, mem, nil
	}
	for key, f := range t.files {
		if len(f.users) > 0 || !f.ready || t.sharedBy(f) {
			continue
		}
		for _, s := range f.segs {
			t.memory.release(s.block)
		}
		t.forgetFile(f)
		delete(t.files, key)
		if t.byBuild[f.build] == f {
			delete(t.byBuild, f.build)
		}
	}
	// Memory released above cannot be used before grace is over.
	return t.memory.alloc(size)
}

// sharedBy reports whether another file uses the tables of f.
func (t *Tables) sharedBy(f *file) bool {
	for _, o := range t.files {
		if o.same == f {
			return true
		}
	}
	return false
}
