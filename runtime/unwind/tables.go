package unwind

import (
	"math"
	"os"
	"slices"
	"sort"
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
	SetFile func(id FileID, list uint64) error
}

// Tables tracks the mappings of all processes and maintains the programs' tables. Its
// methods may be called from any goroutine. Changes become visible to programs at the
// next Flush.
type Tables struct {
	arch     *Arch
	mem      Memory
	procRoot string
	stat     func(path string) (os.FileInfo, error) // os.Stat
	openFile func(path string) (*os.File, error)    // openRead
	patience time.Duration                          // time for which a mapping waits for the version of its file
	forkWait time.Duration                          // time for which a new process has no list
	golang   cfi.GoFunctions

	mu        sync.Mutex
	memory    memory
	rules     map[cfi.Rule]uint16
	files     map[fileKey]*file
	retired   []*file // files whose keys other files have now
	fileLimit int     // number of files above which limitFiles drops some; 0: MaxFiles
	byBuild   map[string]*file
	procs     map[int]*process
	dirty     []*process
	queue     []*file      // files whose tables have yet to be built
	first     map[int]bool // processes whose files have priority, and their descendants
	workers   []builder
	silent    map[uint64]int // devices whose file systems do not answer, with the number of calls
	made      chan struct{}  // closed, and replaced, when the tables of a file are complete
	stop      chan struct{}
	stopped   sync.WaitGroup
	stats     Stats
}

// Stats holds the cost of the tables.
type Stats struct {
	Files, Shared   int // files with tables, and those that share another file's tables
	Processes       int
	Rules, Rows     int
	Bytes, Chunks   int
	NoRoom          int           // number of files for which no memory was left
	Longest, Total  time.Duration // time to build the tables of one file, and of all
	Failed          int           // files that could not be read
	LongestFileSize int64
}

// Mapping is an executable mapping of a process.
type Mapping struct {
	Start, End, Offset uint64
	Dev, Inode         uint64
	Generation         uint64 // of the inode, or 0 if it is not known
	Path               string // "" for memory without a file
}

// process holds the mappings of a process.
type process struct {
	pid    int
	maps   []mapping // by address
	shared *listRef
	dirty  bool
	gone   bool
	waits  time.Time // time until which its list is not created
	parent int
}

// forkWait is the time for which a new process has no list, if programs do not need one.
// Its list would be that of its parent, and wrong as soon as it executes a program.
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

// New returns tables for the processes in procfs, which is mounted at procRoot. golang
// reads the functions of Go programs.
func New(arch *Arch, mem Memory, procRoot string, golang cfi.GoFunctions) *Tables {
	t := &Tables{
		arch: arch, mem: mem, procRoot: procRoot, golang: golang, stat: os.Stat, openFile: openRead, patience: statPatience, forkWait: forkWait,
		rules: map[cfi.Rule]uint16{}, files: map[fileKey]*file{}, byBuild: map[string]*file{}, procs: map[int]*process{}, first: map[int]bool{},
		silent:  map[uint64]int{},
		workers: []builder{{smallFile, make(chan struct{}, 1)}, {math.MaxUint64, make(chan struct{}, 1)}},
		made:    make(chan struct{}), stop: make(chan struct{}),
	}
	t.memory.make = mem.Chunk
	t.rule(cfi.Rule{})
	t.rule(cfi.Rule{Kind: cfi.Unknown})
	for _, w := range t.workers {
		t.stopped.Add(1)
		go t.build(w)
	}
	return t
}

// Close stops building tables. It does not wait for file systems that do not answer.
func (t *Tables) Close() {
	t.mu.Lock()
	close(t.stop)
	t.mu.Unlock()
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
// failed, or until it is late. If pid is 0, it waits for all processes.
func (t *Tables) Await(pid int, late <-chan time.Time) {
	for {
		t.mu.Lock()
		made, ready := t.made, true
		for id, p := range t.procs {
			if pid != 0 && id != pid {
				continue
			}
			for _, m := range p.maps {
				ready = ready && (m.file == nil || m.file.ready && !m.file.following || !m.file.failed.IsZero())
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

// next removes the most urgent file from the queue. Files with more than limit bytes of code
// stay in it. A file of a preferred process comes first, then the file with the most users in
// relation to its size.
func (t *Tables) next(limit uint64) *file {
	best, score := -1, 0.0
	for i, f := range t.queue {
		if f.code > limit && !f.first || f.key.special == "" && t.silent[f.key.dev] > 0 {
			continue
		}
		n := float64(1+len(f.users)) / float64(f.code+1)
		if f.first {
			n++
		}
		if n >= score {
			best, score = i, n
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
	t.refresh(pid, m)
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
	n := mapping{start: m.Start, end: m.End, offset: m.Offset, file: t.fileOf(p, m)}
	var kept []mapping
	var cut []*file
	for _, o := range p.maps {
		if o.end <= n.start || n.end <= o.start {
			kept = append(kept, o)
			continue
		}
		cut = append(cut, o.file)
		if o.start < n.start { // the parts of the old mapping that the new one does not cover
			kept = append(kept, mapping{o.start, n.start, o.offset, o.file})
		}
		if n.end < o.end {
			kept = append(kept, mapping{n.end, o.end, o.offset + (n.end - o.start), o.file})
		}
	}
	i := sort.Search(len(kept), func(i int) bool { return kept[i].start >= n.start })
	p.maps = slices.Insert(kept, i, n)
	for _, f := range cut {
		if f != nil && !slices.ContainsFunc(p.maps, func(m mapping) bool { return m.file == f }) {
			delete(f.users, p)
		}
	}
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

// Forked records that a process started as a copy of its parent.
func (t *Tables) Forked(pid, parent int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.first[parent] {
		t.first[pid] = true
	}
	t.forget(pid)
	p := t.process(pid)
	p.parent = parent
	from := t.procs[parent]
	if from == nil {
		return
	}
	p.maps = slices.Clone(from.maps)
	for _, m := range p.maps {
		m.file.use(p)
	}
	if t.mem.SetFile != nil { // programs find the files without a list, and the process will likely execute another program
		p.waits = time.Now().Add(t.forkWait)
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
	parent := t.process(pid).parent
	t.forget(pid)
	t.process(pid).parent = parent
}

// Ended records the end of a process.
func (t *Tables) Ended(pid int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forget(pid)
	delete(t.first, pid)
}

// Running removes the processes that are not in the list of running ones, whose end was
// not reported.
func (t *Tables) Running(pids map[int]bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for pid := range t.procs {
		if !pids[pid] {
			t.forget(pid)
		}
	}
	for pid := range t.first {
		if !pids[pid] {
			delete(t.first, pid)
		}
	}
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
