package symbols

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/runtime/procstat"
)

// process holds the memory maps and the perf map of one process, which may have executed
// several programs. An image holds the mappings of one program.
type process struct {
	pid    int
	parent int      // 0: not known
	start  string   // start time of the process, to detect a reused ID; "": not read yet
	images []*image // oldest first, never empty
	readAt uint64   // CLOCK_MONOTONIC in ns
	tmp    *fileID  // the directory of its perf map; nil: not wanted
	inner  string   // the name of the perf map
	user   userID   // who may have written it

	jit jitted
}

func newProcess(pid int) *process { return &process{pid: pid, images: []*image{{}}} }

// maxImages is the number of programs that are kept for a process.
const maxImages = 8

// image is the list of executable mappings of one program, sorted by address.
type image struct {
	maps   []mapping
	shared bool // another image uses the same array of mappings
	// replaces reports that the image before this one is of the same program: it has mapped
	// other code at the same addresses meanwhile.
	replaces bool
}

// mapping is an executable range of a process's memory.
type mapping struct {
	start, end, offset uint64
	file               *fileID
	of                 *file // nil: not looked up yet
}

// fileID identifies a file across mount namespaces. The path is "" for memory
// without a file.
type fileID struct{ dev, inode, path string }

// same reports whether both are the same file. A process that has a root directory of its own
// may have the file under another path.
//
//go:noinline
func (id *fileID) same(o *fileID) bool {
	return *id == *o || id.dev == o.dev && id.inode == o.inode && id.inode != "" && id.inode != "0"
}

// named reports whether the mapping is of a file.
//
//go:noinline
func (m *mapping) named() bool {
	return m.file.path != "" && (m.file.path[0] == '/' || m.file.path == vdso)
}

// procDir returns the directory of a process below the mount point of procfs.
//
//go:noinline
func procDir(proc string, pid int) string { return proc + "/" + strconv.Itoa(pid) }

const vdso = "[vdso]"

//go:noinline
func (p *process) current() *image { return p.images[len(p.images)-1] }

// renew starts the image of another program of the same process.
func (p *process) renew(im *image) {
	if len(p.current().maps) == 0 {
		p.images = p.images[:len(p.images)-1]
	}
	p.images = append(p.images, im)
	if n := len(p.images); n > maxImages {
		p.images = slices.Delete(p.images, 0, n-maxImages)
	}
}

// take stores the memory map of the process.
func (p *process) take(maps []mapping, start string) {
	if executed(p.current().maps, maps) {
		p.renew(&image{})
	}
	p.start = start
	// Keep old mappings where nothing else is mapped now, because a stack may be older
	// than the lookup of its addresses.
	for _, m := range maps {
		p.add(m)
	}
}

// add inserts a mapping into the current image. If other code was there, such as that of a
// library that was unloaded, stacks through it may be looked up later, so an image with it
// stays.
func (p *process) add(m mapping) {
	replaces := p.current().hasOther(m)
	if replaces {
		p.renew(p.current().copy())
		p.current().replaces = true
	}
	p.current().add(m)
	if replaces { // a library that is loaded and unloaded again and again
		now := p.current()
		p.images = slices.DeleteFunc(p.images, func(im *image) bool {
			return im != now && slices.EqualFunc(im.maps, now.maps, func(a, b mapping) bool { return alike(&a, &b, true) })
		})
	}
}

// hasOther reports whether the code of another file, or of another part of the file, is
// mapped where m is.
func (im *image) hasOther(m mapping) bool {
	return m.named() && slices.ContainsFunc(im.maps, func(o mapping) bool {
		return o.start < m.end && m.start < o.end && o.named() && (!o.file.same(m.file) || o.offset-o.start != m.offset-m.start)
	})
}

// executed reports whether a process has executed another program between two reads
// of its memory map. In that case no file is at its old address.
func executed(before, now []mapping) bool {
	files := false
	for i := range before {
		b := &before[i]
		if b.file.path == "" || b.file.path == vdso {
			continue
		}
		files = true
		if slices.ContainsFunc(now, func(n mapping) bool { return n.start == b.start && n.file.same(b.file) }) {
			return false
		}
	}
	return files
}

// add inserts a mapping. It replaces the mappings that it overlaps.
func (im *image) add(m mapping) {
	if im.shared {
		im.maps, im.shared = slices.Clone(im.maps), false
	}
	im.maps = slices.DeleteFunc(im.maps, func(o mapping) bool {
		if o.start == m.start && *o.file == *m.file {
			m.of = o.of
		}
		return o.start < m.end && m.start < o.end
	})
	i := sort.Search(len(im.maps), func(i int) bool { return im.maps[i].start >= m.start })
	im.maps = slices.Insert(im.maps, i, m)
}

// copy returns an image with the same mappings.
func (im *image) copy() *image {
	im.shared = true
	return &image{maps: im.maps, shared: true}
}

// old reports whether the memory map was read too long ago to rely on it for an address
// that is not in it.
func (p *process) old() bool { return monotonic()-p.readAt > uint64(stale) }

// monotonic returns the time of CLOCK_MONOTONIC in ns.
func monotonic() uint64 {
	var t unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &t)
	return uint64(t.Nano())
}

// readMaps returns the executable mappings of a process and its start time, or
// nothing if the process is gone.
func readMaps(proc string, pid int) (maps []mapping, start string) {
	dir := procDir(proc, pid)
	text, err := os.ReadFile(dir + "/maps")
	if err == nil && len(text) == 0 {
		text = othersMaps(dir)
	}
	if len(text) == 0 {
		return nil, ""
	}
	stat, ok := procstat.Read(dir)
	if !ok {
		return parseMaps(text), ""
	}
	return parseMaps(text), stat.Text(procstat.Start)
}

// othersMaps returns the mappings of a process according to one of its threads. The main
// thread has none after it has ended, though other threads run.
func othersMaps(dir string) []byte {
	tasks, _ := filepath.Glob(dir + "/task/*/maps")
	for _, name := range tasks {
		if text, err := os.ReadFile(name); err == nil && len(text) > 0 {
			return text
		}
	}
	return nil
}

// parseMaps returns the executable mappings in the text of a maps file, in order of
// address.
func parseMaps(text []byte) []mapping {
	var out []mapping
	for line := range bytes.Lines(text) {
		// start-end perms offset dev inode path
		f := strings.SplitN(strings.TrimRight(string(line), "\n"), " ", 6)
		if len(f) < 5 || len(f[1]) < 3 || f[1][2] != 'x' {
			continue
		}
		from, to, ok := strings.Cut(f[0], "-")
		start, err1 := strconv.ParseUint(from, 16, 64)
		end, err2 := strconv.ParseUint(to, 16, 64)
		off, err3 := strconv.ParseUint(f[2], 16, 64)
		if !ok || err1 != nil || err2 != nil || err3 != nil {
			continue
		}
		m := mapping{start: start, end: end, offset: off, file: &fileID{dev: f[3], inode: f[4]}}
		if len(f) == 6 {
			m.file.path = strings.TrimSuffix(strings.TrimLeft(f[5], " "), deleted)
		}
		out = append(out, m)
	}
	return out
}

// find returns the mapping that contains an address, or nil.
func (im *image) find(addr uint64) *mapping {
	i := sort.Search(len(im.maps), func(i int) bool { return im.maps[i].end > addr })
	if i == len(im.maps) || addr < im.maps[i].start {
		return nil
	}
	return &im.maps[i]
}

// Executable returns the executable mappings of a process, or nothing if the process
// is gone. It may be called from any goroutine.
func Executable(proc string, pid int) []Mapping {
	maps, _ := readMaps(proc, pid)
	out := make([]Mapping, len(maps))
	for i, m := range maps {
		out[i] = Mapping{Start: m.start, End: m.end, Offset: m.offset, Dev: m.file.dev, Inode: m.file.inode, Path: m.file.path}
	}
	return out
}
