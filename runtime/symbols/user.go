// Package symbols names the functions that addresses of processes lie in.
//
// A process is known by its memory map, read from /proc when it is first asked
// about and again when an address is in none of its mappings; what was read
// stays known after the process is gone. A mapped file's symbols are read once
// for all processes that map it, and kept as a sorted table of 16 bytes a
// function beside the file's own string table. Code made at run time is named
// by the map files that such runtimes write for perf.
//
// Kernel addresses are not here: package probes knows the kernel.
package symbols

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ianlancetaylor/demangle"
)

// CacheMode is how long what is known of a process counts.
type CacheMode string

// The values of cache_user_symbols.
const (
	Auto       CacheMode = ""
	PerPID     CacheMode = "PER_PID"
	PerProgram CacheMode = "PER_PROGRAM"
	NoCache    CacheMode = "NONE"
)

// Options says where processes are found and how their symbols are shown.
type Options struct {
	ProcRoot string // where /proc is mounted
	Demangle bool   // C++ and Rust names as in their source
	Cache    CacheMode
}

// Frame is the place of an address: its function, the offset in it, and the
// file it is from. A frame that has no function may still have a Module.
type Frame struct {
	Name   string
	Offset uint64
	Module string
}

// User answers for all processes. It is used by one goroutine.
type User struct {
	opt   Options
	procs map[int]*process
	files map[fileID]*table
	names map[string]string // demangled
}

// NewUser returns an empty cache.
func NewUser(opt Options) *User {
	if opt.ProcRoot == "" {
		opt.ProcRoot = "/proc"
	}
	return &User{opt: opt, procs: map[int]*process{}, files: map[fileID]*table{}, names: map[string]string{}}
}

// stale is how old a memory map must be to be read again for an address that
// is not in it.
const stale = 50 * time.Millisecond

// Lookup finds the function an address of a process lies in. If there is none,
// the frame may still say which file the address is from.
func (u *User) Lookup(pid int, addr uint64) (Frame, bool) {
	if addr == 0 || pid <= 0 {
		return Frame{}, false
	}
	p := u.procs[pid]
	if p == nil {
		p = u.Know(pid)
	} else if u.opt.Cache == NoCache {
		p.read(u.opt.ProcRoot)
	}
	m := p.find(addr)
	if m == nil && time.Since(p.readAt) > stale {
		p.read(u.opt.ProcRoot)
		m = p.find(addr)
	}
	if m == nil || !m.named() {
		return p.jitted(u.opt.ProcRoot, addr)
	}
	t := u.table(p, m)
	name, off, ok := t.lookup(addr - m.start + m.offset)
	f := Frame{Module: m.path, Name: name, Offset: off}
	if !ok {
		return f, false
	}
	f.Name = u.demangled(name)
	return f, true
}

// Know reads the memory map of a process, for when it is gone.
func (u *User) Know(pid int) *process {
	p := u.process(pid)
	p.read(u.opt.ProcRoot)
	return p
}

func (u *User) process(pid int) *process {
	p := u.procs[pid]
	if p == nil {
		p = &process{pid: pid}
		u.procs[pid] = p
	}
	return p
}

// Mapping is an executable mapping that was seen to be made. Dev and Inode are
// written as /proc/PID/maps writes them.
type Mapping struct {
	Start, End, Offset uint64
	Dev, Inode, Path   string
}

// Mapped notes a mapping of a process that may be gone when it is asked about.
func (u *User) Mapped(pid int, m Mapping) {
	u.process(pid).add(mapping{start: m.Start, end: m.End, offset: m.Offset, path: m.Path, file: fileID{m.Dev, m.Inode, m.Path}})
}

// Forked notes that a process began as a copy of another one.
func (u *User) Forked(pid, parent int) {
	if from := u.procs[parent]; from != nil {
		u.process(pid).maps = slices.Clone(from.maps)
	}
}

// Executed notes that a process runs another program now: nothing of what was
// mapped is left.
func (u *User) Executed(pid int) { u.process(pid).maps = nil }

func (u *User) demangled(name string) string {
	if !u.opt.Demangle || !strings.HasPrefix(name, "_Z") && !strings.HasPrefix(name, "_R") {
		return name
	}
	if d, ok := u.names[name]; ok {
		return d
	}
	d, err := demangle.ToString(name)
	if err != nil {
		d = name
	}
	u.names[name] = d
	return d
}

func (u *User) table(p *process, m *mapping) *table {
	id := m.file
	if t := u.files[id]; t != nil {
		return t
	}
	t := &table{}
	switch {
	case m.path == "[vdso]":
		t = vdsoTable(u.opt.ProcRoot)
	case m.path[0] == '/':
		for _, name := range p.fileNames(u.opt.ProcRoot, m) {
			if full, err := openTable(name); err == nil {
				t = full
				break
			}
		}
	}
	u.files[id] = t
	return t
}

// fileNames lists the ways to a mapped file: as the process sees it, through
// the mapping itself (the file may be deleted), and as we see it.
func (p *process) fileNames(proc string, m *mapping) []string {
	dir := filepath.Join(proc, strconv.Itoa(p.pid))
	return []string{
		dir + "/root" + m.path,
		dir + "/map_files/" + strconv.FormatUint(m.start, 16) + "-" + strconv.FormatUint(m.end, 16),
		m.path,
	}
}
