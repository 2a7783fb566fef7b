package symbols

import (
	"cmp"
	"maps"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/probes/binary"
)

// file is a mapped file: its symbols, and a cache of answers.
type file struct {
	x       *binary.File // nil: it cannot be read
	buildID string
	size    int64 // identity of the file when it was opened
	changed time.Time
	names   map[uint64]binary.Symbol
	places  map[uint64][]binary.Frame
	used    int  // number of the last lookup in it
	closed  bool // closed to limit the number of open files: it must be opened again
}

// maxAnswers is the number of answers that are cached for a file.
const maxAnswers = 256 << 10

// symbol finds the function that contains an address of the file.
func (f *file) symbol(addr uint64) (binary.Symbol, bool) {
	if f.x == nil {
		return binary.Symbol{}, false
	}
	s, ok := f.names[addr]
	if !ok {
		f.guard(func() {
			s, _ = f.x.At(addr)
			s.Name = strings.Clone(s.Name) // the file may be closed
		})
		if f.names == nil || len(f.names) >= maxAnswers {
			f.names = map[uint64]binary.Symbol{}
		}
		f.names[addr] = s
	}
	return s, s.Name != ""
}

// callBefore is that of the file.
func (f *file) callBefore(addr uint64) (target uint64, ok bool) {
	if f.x != nil {
		f.guard(func() { target, ok = f.x.CallBefore(addr) })
	}
	return target, ok
}

// debug finds the functions at an address of the file in the debug information, the
// innermost first.
func (f *file) debug(addr uint64) []binary.Frame {
	if f.x == nil {
		return nil
	}
	list, ok := f.places[addr]
	if !ok {
		f.guard(func() {
			list = f.x.Frames(addr)
			for i := range list { // the file may be closed
				list[i].Name, list[i].File = strings.Clone(list[i].Name), strings.Clone(list[i].File)
			}
		})
		if f.places == nil || len(f.places) >= maxAnswers {
			f.places = map[uint64][]binary.Frame{}
		}
		f.places[addr] = list
	}
	return list
}

// guard calls read, which reads the mapped file. If the file is truncated meanwhile,
// guard disables the file.
func (f *file) guard(read func()) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			if _, fault := r.(interface{ Addr() uintptr }); !fault {
				panic(r)
			}
			f.x = nil
		}
	}()
	read()
}

// fileOf returns the file of a mapping.
func (u *User) fileOf(p *process, m *mapping) *file {
	if m.of == nil || m.of.closed {
		m.of = nil
		u.findFile(p, m)
	}
	m.of.used = u.lookups
	return m.of
}

// findFile sets the file of a mapping.
func (u *User) findFile(p *process, m *mapping) {
	known := u.files[*m.file]
	if m.file.path == vdso {
		if m.end <= 1<<32 { // 32-bit processes have another vDSO
			m.of = &file{}
			return
		}
		if known == nil {
			known = vdsoFile(u.opt.ProcRoot)
			u.files[*m.file] = known
		}
		m.of = known
		return
	}
	names := append(p.ownNames(u.opt.ProcRoot, m), m.file.path)
	if !u.devices.Answer(m.file.dev, names...) {
		m.of = &file{closed: true} // the next lookup tries again
		return
	}
	try := func(name string) {
		st, err := os.Stat(name)
		if err != nil || !m.file.is(name, st) {
			return
		}
		// The inode of a deleted file may have been reused for another file.
		if known != nil && known.size == st.Size() && known.changed.Equal(st.ModTime()) {
			m.of = known
			return
		}
		if f := u.open(p, m, name); f != nil {
			f.size, f.changed = st.Size(), st.ModTime()
			u.files[*m.file], m.of = f, f
		}
	}
	for _, name := range names[:len(names)-1] {
		if try(name); m.of != nil {
			return
		}
	}
	// The process has ended, or it maps other files now.
	u.keep.with(*m.file, try)
	if m.of == nil && p.parent > 0 { // it may have lasted longer
		try(procDir(u.opt.ProcRoot, p.parent) + "/root" + m.file.path)
	}
	if m.of == nil {
		try(m.file.path)
	}
	if m.of != nil {
		return
	}
	if known == nil {
		known = &file{}
		u.add(known)
		u.files[*m.file] = known
	}
	m.of = known
}

// maxFiles is the number of files whose symbols are kept.
const maxFiles = 4096

// add adds a file. If there are too many, it closes the least recently used ones.
func (u *User) add(f *file) {
	if len(u.opened) >= maxFiles {
		slices.SortFunc(u.opened, func(a, b *file) int { return cmp.Compare(a.used, b.used) })
		old := u.opened[:maxFiles/8]
		for _, f := range old {
			if f.x != nil {
				f.x.Close()
			}
			*f = file{closed: true}
		}
		u.opened = slices.Delete(u.opened, 0, len(old))
		maps.DeleteFunc(u.files, func(_ fileID, f *file) bool { return f.closed })
		maps.DeleteFunc(u.builds, func(_ string, f *file) bool { return f.closed })
	}
	f.used = u.lookups
	u.opened = append(u.opened, f)
}

// open opens the file of a mapping. Copies of a file, such as those in containers,
// share the symbols of one of them: of one that is not stripped, if there is any.
func (u *User) open(p *process, m *mapping, name string) *file {
	f := &file{}
	f.guard(func() {
		if x, err := binary.OpenNames(name); err == nil {
			f.x, f.buildID = x, x.BuildID()
		}
	})
	x := f.x
	if x == nil {
		return nil
	}
	x.Where = binary.Where{Dirs: u.opt.DebugDirs, Path: m.file.path, Fetch: u.opt.Fetch}
	if root, inside := p.insideRoot(u.opt.ProcRoot, m.file.path); root != "" {
		x.Where.Root, x.Where.Path = root, inside
	}
	if f.buildID == "" {
		u.add(f)
		return f
	}
	if same := u.builds[f.buildID]; same != nil && same.x != nil {
		if same.x.Stripped() && !x.Stripped() {
			same.x, x = x, same.x
			same.names, same.places = nil, nil
		}
		x.Close()
		return same
	}
	u.add(f)
	u.builds[f.buildID] = f
	return f
}

// insideRoot returns the process's root directory, and the path of a file inside of it.
// root is "" if it is the root directory of this process. If this process can reach the
// other's root by a path, the kernel shows the file's whole path.
func (p *process) insideRoot(proc, path string) (root, inside string) {
	root = procDir(proc, p.pid) + "/root"
	theirs, err := os.Stat(root)
	if err != nil {
		return "", path
	}
	if ours, err := os.Stat("/"); err == nil && os.SameFile(theirs, ours) {
		return "", path
	}
	if to, err := os.Readlink(root); err == nil && to != "/" {
		if rest, ok := strings.CutPrefix(path, to+"/"); ok {
			path = "/" + rest
		}
	}
	return root, path
}

// ownNames returns the paths under which the process has a mapped file: through the
// mapping itself (the file may be deleted), and as the process sees it.
func (p *process) ownNames(proc string, m *mapping) []string {
	dir := procDir(proc, p.pid)
	return []string{
		dir + "/map_files/" + strconv.FormatUint(m.start, 16) + "-" + strconv.FormatUint(m.end, 16),
		dir + "/root" + m.file.path,
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

// vdsoFile reads the vDSO from this process's memory. The kernel maps the same code
// into every process.
func vdsoFile(proc string) *file {
	self := os.Getpid()
	maps, _ := readMaps(proc, self)
	for _, m := range maps {
		if m.file.path != vdso {
			continue
		}
		mem, err := os.Open(procDir(proc, self) + "/mem")
		if err != nil {
			break
		}
		defer mem.Close()
		image := make([]byte, m.end-m.start)
		if _, err := mem.ReadAt(image, int64(m.start)); err != nil {
			break
		}
		if x, err := binary.FromMemory(image, vdso); err == nil {
			return &file{x: x, buildID: x.BuildID()}
		}
	}
	return &file{}
}
