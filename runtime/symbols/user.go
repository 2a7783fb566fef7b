// Package symbols finds the functions that contain addresses of processes.
//
// The package reads the memory map of a process from /proc at the first lookup, and
// again when an address is in none of its mappings. The caller may also report
// mappings, forks and executed programs to User. The information is kept after the
// process has ended. The symbols of a mapped file are read once for all processes
// that map it, and kept as a sorted table of 16 bytes per function plus the file's
// own string table. Names of code generated at run time come from the map files
// that language runtimes write for perf.
//
// Kernel addresses are handled by package probes.
package symbols

import (
	"math/bits"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/ianlancetaylor/demangle"

	"github.com/gotrace/gotrace/runtime/value"
)

// CacheMode selects how long information about a process is cached.
type CacheMode string

// The values of cache_user_symbols.
const (
	Auto       CacheMode = ""
	PerPID     CacheMode = "PER_PID"
	PerProgram CacheMode = "PER_PROGRAM"
	NoCache    CacheMode = "NONE"
)

// View specifies where processes are found and how their symbols are shown.
type View struct {
	ProcRoot string // mount point of procfs
	Demangle bool   // show C++ and Rust names as in their source
	Cache    CacheMode

	// InUse calls note with the IDs of the processes whose addresses will still be looked
	// up, though they may have ended long ago. It may be nil.
	InUse func(note func(pid int))

	// Debug adds source lines and inlined functions if there is debug information.
	Debug     bool
	DebugDirs []string // directories that are searched first for separate debug files
	// Fetch fetches the debug file for a build ID and returns its path, or "". It may
	// be nil.
	Fetch func(buildID string) string
}

// Frame is a function at an address.
type Frame = value.Frame

// User finds functions in all processes. Only one goroutine may use it at a time.
type User struct {
	opt     View
	procs   map[int]*process
	files   map[fileID]*file
	ids     map[fileID]*fileID // see intern
	builds  map[string]*file   // by build ID
	names   map[string]string  // cache of demangled names
	keep    keeper
	devices Devices
	past    past
	shared  bitset  // IDs with addresses that cannot be attributed to one of several processes
	fresh   int     // number of processes that may be added until sweep is called
	opened  []*file // addresses in files
	lookups int     // number of stacks that were looked up
}

// NewUser returns a User without any process.
func NewUser(opt View) *User {
	if opt.ProcRoot == "" {
		opt.ProcRoot = "/proc"
	}
	u := &User{
		opt: opt, procs: map[int]*process{}, files: map[fileID]*file{}, builds: map[string]*file{}, past: past{most: maxPast, inUse: opt.InUse},
		ids: map[fileID]*fileID{}, names: map[string]string{}, fresh: minSweep,
		keep: keeper{proc: opt.ProcRoot, held: map[fileID]*os.File{}},
	}
	u.keep.devices = &u.devices
	return u
}

// Unanswered returns the number of times that a file was not read because its file system
// did not answer.
func (u *User) Unanswered() int { return u.devices.Failed() }

// AwaitFiles waits until the files of the mappings that were reported can be read after their
// processes have ended, or late. It may be called from any goroutine.
func (u *User) AwaitFiles(late <-chan time.Time) { u.keep.await(late) }

// Close closes the files that are open for processes that have ended or will end.
func (u *User) Close() { u.keep.close() }

// stale is the minimum age of a memory map before it is read again for an address
// that is not in it.
const stale = 50 * time.Millisecond

// Lookup finds the functions at an address of a process, the innermost first. The last
// frame is that of the function that contains the code.
func (u *User) Lookup(pid int, addr uint64) []Frame {
	return u.Stack(pid, []uint64{addr})
}

// Stack finds the functions at the addresses of one stack of a process, which are
// innermost first. It looks all of them up in one program, the newest one of the
// process that maps them. The addresses after the first are return addresses. With
// View.Debug an address may have several frames.
func (u *User) Stack(pid int, addrs []uint64) []Frame {
	out := make([]Frame, 0, len(addrs))
	if pid <= 0 {
		for _, a := range addrs {
			out = append(out, Frame{Addr: a})
		}
		return out
	}
	u.lookups++
	if u.opt.Cache == NoCache {
		u.Know(pid)
	}
	c, mapped := u.programOf(pid, addrs)
	if p := u.procs[pid]; mapped < len(addrs) && (p == nil || p.old()) {
		u.Know(pid)
		c, mapped = u.programOf(pid, addrs)
	}
	if mapped == 0 { // an earlier process with the ID may have had them
		u.past.miss(pid)
	}
	for i, a := range addrs {
		if a == 0 {
			out = append(out, Frame{})
			continue
		}
		out = u.frames(out, c.p, c.im, a, i > 0)
	}
	if c.ended {
		u.past.keepJit(c.number, &c.p.jit)
		u.past.trim()
	}
	return out
}

// frames appends the functions at an address of an image. A call may be the last
// instruction of its function, so for a return address the byte before it is looked up.
func (u *User) frames(out []Frame, p *process, im *image, addr uint64, returned bool) []Frame {
	frame, f := Frame{Addr: addr}, &file{}
	if m := im.find(addr); m != nil && m.named() {
		f = u.fileOf(p, m)
		frame.Module, frame.BuildID, frame.InFile = m.file.path, f.buildID, addr-m.start+m.offset
	}
	if f.x == nil { // a file may contain generated code, too
		return append(out, u.jitFrame(p, im, frame))
	}
	pc, ok := f.x.Addr(frame.InFile)
	if !ok {
		return append(out, frame)
	}
	back := uint64(0)
	if returned {
		back = 1
	}
	s, ok := f.symbol(pc - back)
	if !ok && back > 0 { // not a call: the return address of a signal handler, at the start of its function
		back = 0
		s, ok = f.symbol(pc)
	}
	if ok {
		frame.Name, frame.Offset = u.demangled(s.Name), pc-s.Addr
	}
	if !u.opt.Debug {
		return append(out, frame)
	}
	list := f.debug(pc - back)
	for i, d := range list {
		if i < len(list)-1 {
			out = append(out, Frame{
				Addr: addr, Name: u.demangled(d.Name), Module: frame.Module, BuildID: frame.BuildID, InFile: frame.InFile,
				File: d.File, Line: d.Line, Inlined: true,
			})
			continue
		}
		frame.File, frame.Line = d.File, d.Line
		if frame.Name == "" {
			frame.Name = u.demangled(d.Name)
		}
	}
	return append(out, frame)
}

// candidate is one of the programs that processes with one ID have executed.
type candidate struct {
	p      *process
	im     *image
	ended  bool
	number uint64 // number of the life, if the process has ended
}

// candidates returns the programs of the processes that have had an ID, the newest first.
func (u *User) candidates(pid int) []candidate {
	var list []candidate
	add := func(p *process, ended bool, number uint64) bool {
		for _, im := range slices.Backward(p.images) {
			list = append(list, candidate{p, im, ended, number})
		}
		return true
	}
	if p := u.procs[pid]; p != nil {
		add(p, false, 0)
	}
	u.past.lives(pid, func(p *process, number uint64) bool { return add(p, true, number) })
	if len(list) == 0 {
		add(newProcess(pid), false, 0)
	}
	return list
}

// programOf returns the program that maps most of the addresses, and the number of
// addresses that it maps. Ties are decided by the number of addresses in functions, by the
// calls before return addresses, and then in favour of the newest program.
func (u *User) programOf(pid int, addrs []uint64) (best candidate, mapped int) {
	list := u.candidates(pid)
	best = list[0]
	mapped = best.im.mapped(addrs)
	fit := -1      // that of best; -1: not determined
	rival := false // another one has other functions at all of these addresses
	for _, c := range list[1:] {
		n := c.im.mapped(addrs)
		switch {
		case n > mapped:
			best, mapped, fit, rival = c, n, -1, false
		case n == mapped && n > 0 && !sameCode(c.im, best.im, addrs):
			if fit < 0 {
				fit = u.fit(best, addrs)
			}
			k := u.fit(c, addrs)
			if k > fit {
				best, fit, rival = c, k, false
			} else if k == fit && k > 0 && (c.p != best.p || best.im.replaces) {
				rival = true
			}
		}
	}
	if rival {
		u.shared.set(pid, true)
	}
	return best, mapped
}

// fit returns how well the addresses of a stack fit the code of a program. An address in a
// function counts more than all calls before return addresses. A call counts twice if its
// target is the function of the next inner frame.
func (u *User) fit(c candidate, addrs []uint64) (n int) {
	inner := uint64(0) // the start of the function that was called, in memory
	for i, a := range addrs {
		m := c.im.find(a)
		if m == nil || !m.named() {
			inner = 0
			continue
		}
		f := u.fileOf(c.p, m)
		if f.x == nil {
			inner = 0
			continue
		}
		pc, ok := f.x.Addr(a - m.start + m.offset)
		s, known := f.symbol(pc)
		if ok && known {
			n += 3 * len(addrs)
		}
		if target, call := f.callBefore(pc); ok && call && i > 0 {
			if n++; target != 0 && target+a-pc == inner {
				n++
			}
		}
		if inner = 0; ok && known {
			inner = s.Addr + a - pc
		}
	}
	return n
}

// Ambiguous returns the number of process IDs with addresses that are code of several
// processes which have had the ID.
func (u *User) Ambiguous() (n int) {
	for _, word := range u.shared {
		n += bits.OnesCount64(word)
	}
	return n
}

// sameCode reports whether two images map the same code at the addresses.
func sameCode(a, b *image, addrs []uint64) bool {
	for _, addr := range addrs {
		m, n := a.find(addr), b.find(addr)
		if m == nil && n == nil {
			continue
		}
		if m == nil || n == nil || !m.file.same(n.file) || m.offset-m.start != n.offset-n.start {
			return false
		}
	}
	return true
}

// mapped returns the number of addresses that are in mappings.
func (im *image) mapped(addrs []uint64) (n int) {
	for _, a := range addrs {
		if im.find(a) != nil {
			n++
		}
	}
	return n
}

// Know reads the memory map of a process now, so that it is known after the process
// has ended.
func (u *User) Know(pid int) {
	u.Renew(ReadMaps(u.opt.ProcRoot, pid))
}

// Renew stores a memory map even if the process is known, as what was reported of it may
// have gaps. If the process has ended, there is no map, and the known one stays.
func (u *User) Renew(f Found) {
	p := u.procs[f.pid]
	if p != nil && len(f.maps) > 0 && p.start != "" && p.start != f.start {
		u.Ended(f.pid)
		p = nil
	}
	if p == nil {
		if len(f.maps) == 0 {
			return
		}
		p = u.process(f.pid)
	}
	p.readAt = f.at
	if len(f.maps) > 0 {
		p.take(f.maps, f.start)
	}
}

func (u *User) process(pid int) *process {
	p := u.procs[pid]
	if p == nil {
		if u.fresh--; u.fresh < 0 {
			u.sweep()
		}
		p = newProcess(pid)
		u.procs[pid] = p
	}
	return p
}

// running returns the process that has an ID now.
func (u *User) running(pid int) *process {
	if p := u.procs[pid]; p != nil {
		return p
	}
	p := u.process(pid)
	if last := u.past.last(pid); last != nil { // the log has lost the fork, or only the main thread has ended
		p.images[0] = last.current().copy()
	}
	return p
}

// Found is the memory map of a process as read by ReadMaps.
type Found struct {
	pid   int
	maps  []mapping
	start string
	at    uint64 // when it was read: CLOCK_MONOTONIC in ns
}

// ReadMaps reads the memory map of a process. It may be called from any goroutine.
func ReadMaps(proc string, pid int) Found {
	at := monotonic()
	maps, start := readMaps(proc, pid)
	return Found{pid, maps, start, at}
}

// Add stores a memory map unless the process is already known.
func (u *User) Add(f Found) {
	if len(f.maps) == 0 || u.procs[f.pid] != nil {
		return
	}
	p := u.process(f.pid)
	for i := range f.maps {
		m := &f.maps[i]
		seen := u.ids[*m.file] != nil
		if m.file = u.intern(*m.file); !seen || !m.named() {
			u.keepFile(p, m)
		}
	}
	p.start, p.readAt, p.current().maps = f.start, f.at, f.maps
}

// Mapping is an executable mapping that a process made. Dev and Inode have the
// format of /proc/PID/maps.
type Mapping struct {
	Start, End, Offset uint64
	Dev, Inode, Path   string
	Generation         uint64 // of the inode, or 0 if it is not known
}

// Mapped records a mapping of a process, which may have ended before its addresses
// are looked up.
func (u *User) Mapped(pid int, m Mapping) {
	if m.Path == "//anon" { // memory without a file in the kernel's log
		m.Path = ""
	}
	made := mapping{start: m.Start, end: m.End, offset: m.Offset, file: u.intern(fileID{m.Dev, m.Inode, m.Path})}
	p := u.running(pid)
	p.add(made)
	u.keepFile(p, &made)
}

// intern returns an equal fileID that shares its strings with other mappings.
func (u *User) intern(id fileID) *fileID {
	// The log of mappings and /proc tell of a deletion at different times.
	id.path = strings.TrimSuffix(id.path, deleted)
	known := u.ids[id]
	if known == nil {
		if len(u.ids) >= maxIDs {
			clear(u.ids)
		}
		known = &id
		u.ids[id] = known
	}
	return known
}

// deleted is what the kernel appends to the path of a deleted file.
const deleted = " (deleted)"

// Limits of shared and cached data.
const (
	maxIDs   = 64 << 10
	maxNames = 256 << 10
)

// Forked records that a process started as a copy of its parent at a time of
// CLOCK_MONOTONIC in ns.
func (u *User) Forked(pid, parent int, at uint64) {
	if p := u.procs[pid]; p != nil && p.readAt > at { // its map was read before the log
		p.parent = parent
		return
	}
	from := u.procs[parent]
	if from == nil {
		u.Know(parent)
		from = u.procs[parent]
	}
	if from == nil { // its main thread has ended
		from = u.past.last(parent)
	}
	u.Ended(pid) // the log has lost the end of the earlier process
	p := u.process(pid)
	p.parent = parent
	if from != nil {
		p.images[0] = from.current().copy()
	}
}

// Executed records that a process executed another program, which unmapped all of
// its memory.
func (u *User) Executed(pid int) { u.running(pid).renew(&image{}) }

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
	if len(u.names) >= maxNames {
		clear(u.names)
	}
	u.names[name] = d
	return d
}
