package symbols

import (
	"bytes"
	"container/heap"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// jitModule is the module of functions whose code was generated at run time.
const jitModule = "[jit]"

// jitFunc is a function that a language runtime compiled and listed in a file for
// perf.
type jitFunc struct {
	start, size uint64
	name        string
	lines       []jitLine // by address
}

// jitLine is the source line of the code from an address on.
type jitLine struct {
	addr uint64
	file string
	line int
}

// jitted holds the generated functions of a process. The files that list them grow
// while the process runs.
type jitted struct {
	perfMap jitFile
	dumps   []jitFile // a process that was forked has its parent's too
	spans   []jitSpan // spans of all; nil: not computed yet
	checked time.Time // when the files were last looked at
	whole   bool      // the process has ended, and its map has been read to the end
}

// jitFile is a file that lists functions.
type jitFile struct {
	grown
	path  string // of a jitdump file, as the process maps it
	dump  dumpReader
	funcs []jitFunc // in the order of the file
}

// lists returns the functions of each file.
func (j *jitted) lists() [][]jitFunc {
	out := [][]jitFunc{j.perfMap.funcs}
	for i := range j.dumps {
		out = append(out, j.dumps[i].funcs)
	}
	return out
}

// size returns the approximate number of bytes that the functions take.
func (j *jitted) size() (n int) {
	if j.whole {
		n = 256
	}
	for _, list := range j.lists() {
		n += 128 * len(list)
	}
	return n
}

// grown is a file that has been read up to some offset.
type grown struct {
	id   [2]uint64 // device and inode
	read int64     // in bytes
	sum  uint32    // checksum of the last part that was read, to detect other contents
	rest []byte    // the beginning of a line or a record
}

// summed is the maximum number of bytes in the sum of a grown file.
const summed = 64 << 10

// jitSpan is a range of addresses that belongs to a function: the latest one there.
type jitSpan struct {
	start, end uint64
	f          *jitFunc
}

// Limits on the data of one process.
const (
	maxJitFile  = 1 << 30 // bytes
	maxJitFuncs = 1 << 20
	maxJitName  = 4096
	maxDumps    = 8 // jitdump files
)

// jitFrame returns a frame with the generated function that contains its address, if there is
// one.
func (u *User) jitFrame(p *process, im *image, f Frame) Frame {
	j, addr := &p.jit, f.Addr
	if time.Since(j.checked) > stale {
		if j.update(u, p, im, "") || j.spans == nil {
			j.spans = latest(j.lists()...)
		}
		j.checked = time.Now()
	}
	i := sort.Search(len(j.spans), func(i int) bool { return j.spans[i].end > addr })
	if i == len(j.spans) || addr < j.spans[i].start {
		return f
	}
	fn := j.spans[i].f
	f.Name, f.Offset, f.Module = fn.name, addr-fn.start, jitModule
	for _, l := range fn.lines {
		if l.addr > addr {
			break
		}
		f.File, f.Line = l.file, l.line
	}
	return f
}

// update reads what was added to the process's files. It reports whether there was
// anything new. If the process has ended, held is the path of its perf map.
func (j *jitted) update(u *User, p *process, im *image, held string) bool {
	dir := procDir(u.opt.ProcRoot, p.pid)
	changed := false
	j.dumps = slices.Clone(j.dumps) // past keeps the old ones
	names, user := []string{held}, p.user
	if held == "" { // otherwise another process may have the ID, or have written the second file
		names = []string{dir + "/root/tmp/" + innerMap(dir, p.pid), "/tmp/perf-" + strconv.Itoa(p.pid) + ".map"}
		user = userOf(dir)
	}
	for _, name := range names {
		if j.whole {
			break
		}
		if !u.devices.Answer(name, name) {
			continue
		}
		if data, ok := j.perfMap.more(name, user); ok {
			changed = len(data) > 0
			j.perfMap.funcs = appendPerfMap(j.perfMap.funcs, data)
			break
		}
	}
	for i := range im.maps {
		// A runtime maps the jitdump file that it writes, so that profilers find it.
		path := im.maps[i].file.path
		if base := filepath.Base(path); !strings.HasPrefix(base, "jit-") || !strings.HasSuffix(base, ".dump") {
			continue
		}
		n := slices.IndexFunc(j.dumps, func(f jitFile) bool { return f.path == path })
		if n < 0 {
			if len(j.dumps) == maxDumps {
				continue
			}
			n = len(j.dumps)
			j.dumps = append(j.dumps, jitFile{path: path})
		}
		f := &j.dumps[n]
		for _, name := range []string{dir + "/root" + path, path} {
			if data, ok := f.more(name, user); ok {
				if len(data) > 0 {
					changed = true
					f.funcs, f.rest = f.dump.read(f.funcs, data)
				}
				break
			}
		}
	}
	return changed
}

// userID is the user of a process, if it is known.
type userID struct {
	uid   uint32
	known bool
}

// userOf returns the user of the process with the given directory below /proc.
func userOf(dir string) userID {
	var st unix.Stat_t
	err := unix.Stat(dir, &st)
	return userID{st.Uid, err == nil}
}

// more returns the part of a file that was not read yet. If the file is text, the part
// ends with a complete line. If the file has other contents now, more forgets its functions.
// more reads only regular files that belong to the process's user or to root, since other
// users may write to /tmp.
func (g *jitFile) more(name string, user userID) ([]byte, bool) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, false
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil || !st.Mode().IsRegular() {
		return nil, false
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return nil, false
	}
	if user.known && sys.Uid != 0 && sys.Uid != user.uid {
		return nil, false
	}
	if id := [2]uint64{sys.Dev, sys.Ino}; g.id != id {
		*g = jitFile{path: g.path, grown: grown{id: id}}
	}
	for {
		from := max(0, g.read-summed)
		data := make([]byte, max(0, min(st.Size(), maxJitFile)-from))
		got, err := f.ReadAt(data, from)
		if err != nil && err != io.EOF {
			return nil, true
		}
		data = data[:got]
		known := int(g.read - from)
		if known > got || crc32.ChecksumIEEE(data[:known]) != g.sum {
			*g = jitFile{path: g.path, grown: grown{id: g.id}} // the file was written anew
			continue
		}
		if got == known {
			return nil, true
		}
		g.read, g.sum = from+int64(got), crc32.ChecksumIEEE(data[max(0, got-summed):])
		data = append(g.rest, data[known:]...)
		g.rest = nil
		if strings.HasSuffix(name, ".map") {
			end := bytes.LastIndexByte(data, '\n') + 1
			g.rest = bytes.Clone(data[end:])
			data = data[:end]
		}
		return data, true
	}
}

// innerMap returns the name of a process's perf map, which has the process's ID in its own pid
// namespace.
func innerMap(dir string, pid int) string {
	id := strconv.Itoa(pid)
	text, _ := os.ReadFile(dir + "/status")
	if _, rest, ok := bytes.Cut(text, []byte("\nNSpid:")); ok {
		line, _, _ := bytes.Cut(rest, []byte("\n"))
		if f := bytes.Fields(line); len(f) > 0 {
			id = string(f[len(f)-1])
		}
	}
	return "perf-" + id + ".map"
}

// appendPerfMap parses lines of the form "start size name", with numbers in hex.
func appendPerfMap(out []jitFunc, text []byte) []jitFunc {
	for line := range bytes.Lines(text) {
		f := strings.SplitN(strings.TrimSpace(string(line)), " ", 3)
		if len(f) < 3 || len(out) >= maxJitFuncs {
			continue
		}
		start, err1 := strconv.ParseUint(strings.TrimPrefix(f[0], "0x"), 16, 64)
		size, err2 := strconv.ParseUint(strings.TrimPrefix(f[1], "0x"), 16, 64)
		if err1 != nil || err2 != nil || size == 0 || start+size < start {
			continue
		}
		out = append(out, jitFunc{start: start, size: size, name: f[2][:min(len(f[2]), maxJitName)]})
	}
	return out
}

// latest returns the function that each address belongs to, in order of addresses. As
// memory is reused, a later function replaces earlier ones where they overlap.
func latest(lists ...[]jitFunc) []jitSpan {
	type edge struct {
		at    uint64
		n     int // number of the function
		start bool
	}
	var funcs []*jitFunc
	for _, list := range lists {
		for i := range list {
			funcs = append(funcs, &list[i])
		}
	}
	edges := make([]edge, 0, 2*len(funcs))
	for n, f := range funcs {
		edges = append(edges, edge{f.start, n, true}, edge{f.start + f.size, n, false})
	}
	sort.Slice(edges, func(i, j int) bool {
		a, b := edges[i], edges[j]
		return a.at < b.at || a.at == b.at && a.n < b.n
	})
	spans := []jitSpan{}
	var open numbers
	for i, e := range edges {
		if e.start {
			heap.Push(&open, e.n)
		}
		for len(open) > 0 && funcs[open[0]].start+funcs[open[0]].size <= e.at {
			heap.Pop(&open)
		}
		if len(open) == 0 || i+1 == len(edges) || edges[i+1].at == e.at {
			continue
		}
		s := jitSpan{e.at, edges[i+1].at, funcs[open[0]]}
		if k := len(spans) - 1; k >= 0 && spans[k].f == s.f && spans[k].end == s.start {
			spans[k].end = s.end
			continue
		}
		spans = append(spans, s)
	}
	return spans
}

// numbers is a heap with the greatest number on top.
type numbers []int

func (h numbers) Len() int           { return len(h) }
func (h numbers) Less(i, j int) bool { return h[i] > h[j] }
func (h numbers) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *numbers) Push(x any)        { *h = append(*h, x.(int)) }
func (h *numbers) Pop() any {
	old := *h
	n := old[len(old)-1]
	*h = old[:len(old)-1]
	return n
}
