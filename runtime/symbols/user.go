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
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/ianlancetaylor/demangle"
	"golang.org/x/sys/unix"
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

// Options specifies where processes are found and how their symbols are shown.
type Options struct {
	ProcRoot string // mount point of procfs
	Demangle bool   // show C++ and Rust names as in their source
	Cache    CacheMode
}

// Frame describes an address: its function, the offset in the function, and the
// file it is from. A frame without a function may still have a Module.
type Frame struct {
	Name   string
	Offset uint64
	Module string
}

// User finds functions in all processes. Only one goroutine may use it at a time.
type User struct {
	opt   Options
	procs map[int]*process
	files map[fileID]*table
	ids   map[fileID]fileID // see intern
	ended []*process        // processes that have ended, in order of their end
	names map[string]string // cache of demangled names
}

// NewUser returns a User that knows no processes yet.
func NewUser(opt Options) *User {
	if opt.ProcRoot == "" {
		opt.ProcRoot = "/proc"
	}
	return &User{opt: opt, procs: map[int]*process{}, files: map[fileID]*table{}, ids: map[fileID]fileID{}, names: map[string]string{}}
}

// stale is the minimum age of a memory map before it is read again for an address
// that is not in it.
const stale = 50 * time.Millisecond

// Lookup finds the function that contains an address of a process. If there is
// none, the result is false and the frame has no name, but it may still have a
// Module.
func (u *User) Lookup(pid int, addr uint64) (Frame, bool) {
	f := u.Stack(pid, []uint64{addr})[0]
	return f, f.Name != ""
}

// Stack finds the functions that contain the addresses of one stack of a process.
// It looks all of them up in one program: the newest of the process that they fit.
func (u *User) Stack(pid int, addrs []uint64) []Frame {
	out := make([]Frame, len(addrs))
	if pid <= 0 {
		return out
	}
	p := u.procs[pid]
	if p == nil {
		p = u.Know(pid)
	} else if u.opt.Cache == NoCache {
		p.read(u.opt.ProcRoot)
	}
	im, mapped := u.imageOf(p, addrs)
	if mapped < len(addrs) && time.Since(p.readAt) > stale {
		p.read(u.opt.ProcRoot)
		im, _ = u.imageOf(p, addrs)
	}
	for i, a := range addrs {
		if a != 0 {
			out[i] = u.frame(p, im, a)
		}
	}
	return out
}

// frame finds the function that contains an address of an image.
func (u *User) frame(p *process, im *image, addr uint64) Frame {
	m := im.find(addr)
	if m == nil || !m.named() {
		f, _ := p.jitted(u.opt.ProcRoot, addr)
		return f
	}
	f := Frame{Module: m.file.path}
	if name, off, ok := u.table(p, m).lookup(addr - m.start + m.offset); ok {
		f.Name, f.Offset = u.demangled(name), off
	}
	return f
}

// imageOf returns the image of a process that maps most of the addresses, and how
// many it maps. Ties are decided by the number of addresses in functions, and then
// for the newest image.
func (u *User) imageOf(p *process, addrs []uint64) (im *image, mapped int) {
	if len(p.images) == 1 {
		return p.images[0], p.images[0].mapped(addrs)
	}
	named := -1 // number of addresses in functions of im; -1: not counted
	count := func(im *image) (n int) {
		for _, a := range addrs {
			if m := im.find(a); m != nil && m.named() {
				if _, _, ok := u.table(p, m).lookup(a - m.start + m.offset); ok {
					n++
				}
			}
		}
		return n
	}
	for _, older := range slices.Backward(p.images) {
		n := older.mapped(addrs)
		switch {
		case im == nil || n > mapped:
			im, mapped, named = older, n, -1
		case n == mapped && n > 0:
			if named < 0 {
				named = count(im)
			}
			if c := count(older); c > named {
				im, named = older, c
			}
		}
	}
	return im, mapped
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
func (u *User) Know(pid int) *process {
	p := u.process(pid)
	p.read(u.opt.ProcRoot)
	return p
}

func (u *User) process(pid int) *process {
	p := u.procs[pid]
	if p == nil {
		p = newProcess(pid)
		u.procs[pid] = p
	}
	return p
}

// Found is the memory map of a process as read by ReadMaps.
type Found struct {
	pid   int
	maps  []mapping
	start string
}

// ReadMaps reads the memory map of a process. It may be called from any goroutine.
func ReadMaps(proc string, pid int) Found {
	maps, start := readMaps(proc, pid)
	return Found{pid, maps, start}
}

// Add stores a memory map unless the process is already known.
func (u *User) Add(f Found) {
	if len(f.maps) == 0 || u.procs[f.pid] != nil {
		return
	}
	for i := range f.maps {
		f.maps[i].file = u.intern(f.maps[i].file)
	}
	p := u.process(f.pid)
	p.start, p.current().maps = f.start, f.maps
}

// Mapping is an executable mapping that a process made. Dev and Inode have the
// format of /proc/PID/maps.
type Mapping struct {
	Start, End, Offset uint64
	Dev, Inode, Path   string
}

// Mapped records a mapping of a process, which may have ended before its addresses
// are looked up.
func (u *User) Mapped(pid int, m Mapping) {
	if m.Path == "//anon" { // memory without a file in the kernel's log
		m.Path = ""
	}
	u.process(pid).current().add(mapping{start: m.Start, end: m.End, offset: m.Offset, file: u.intern(fileID{m.Dev, m.Inode, m.Path})})
}

// intern returns an equal fileID that shares its strings with other mappings.
func (u *User) intern(id fileID) fileID {
	known, ok := u.ids[id]
	if !ok {
		known = id
		u.ids[id] = id
	}
	return known
}

// Forked records that a process started as a copy of its parent.
func (u *User) Forked(pid, parent int) {
	from := u.procs[parent]
	if from == nil {
		from = u.Know(parent)
	}
	u.process(pid).reborn(from.current().copy())
}

// Executed records that a process executed another program, which unmapped all of
// its memory.
func (u *User) Executed(pid int) { u.process(pid).renew(&image{}) }

// maxEnded is the number of ended processes that are kept.
const maxEnded = 32 << 10

// Ended records the end of a process. The process stays known until maxEnded others
// have ended.
func (u *User) Ended(pid int) {
	p := u.procs[pid]
	if p == nil || p.ended {
		return
	}
	p.ended = true
	u.ended = append(u.ended, p)
	if len(u.ended) > maxEnded {
		if old := u.ended[0]; old.ended && u.procs[old.pid] == old {
			delete(u.procs, old.pid)
		}
		u.ended = u.ended[1:]
	}
}

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

// table returns the symbols of a mapped file.
func (u *User) table(p *process, m *mapping) *table {
	if m.table != nil {
		return m.table
	}
	known := u.files[m.file]
	if m.file.path == vdso {
		if known == nil {
			known = vdsoTable(u.opt.ProcRoot)
			u.files[m.file] = known
		}
		m.table = known
		return known
	}
	for _, name := range p.fileNames(u.opt.ProcRoot, m) {
		st, err := os.Stat(name)
		if err != nil || !m.file.is(name, st) {
			continue
		}
		// The inode of a deleted file may have been reused for another file.
		if known != nil && known.size == st.Size() && known.changed.Equal(st.ModTime()) {
			m.table = known
			return known
		}
		if t, err := openTable(name); err == nil {
			t.size, t.changed = st.Size(), st.ModTime()
			u.files[m.file], m.table = t, t
			return t
		}
	}
	if known == nil {
		known = &table{}
		u.files[m.file] = known
	}
	m.table = known
	return known
}

// fileNames returns the paths under which a mapped file may be found: through the
// mapping itself (the file may be deleted), as the process sees it, and as this
// process sees it.
func (p *process) fileNames(proc string, m *mapping) []string {
	dir := filepath.Join(proc, strconv.Itoa(p.pid))
	return []string{
		dir + "/map_files/" + strconv.FormatUint(m.start, 16) + "-" + strconv.FormatUint(m.end, 16),
		dir + "/root" + m.file.path,
		m.file.path,
	}
}

// is reports whether the file that now has the given name is the mapped one. On an
// overlay, the device and inode may differ from those of the mapping.
func (id fileID) is(name string, st os.FileInfo) bool {
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok || id.inode == "" || strconv.FormatUint(sys.Ino, 10) == id.inode {
		return true
	}
	var fs unix.Statfs_t
	return unix.Statfs(name, &fs) == nil && fs.Type == unix.OVERLAYFS_SUPER_MAGIC
}
