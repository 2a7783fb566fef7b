package symbols

import (
	"bytes"
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// process is what is known of one process.
type process struct {
	pid    int
	start  string // when it started, by which a reused pid is told apart
	maps   []mapping
	readAt time.Time

	jit     []jitFunc
	jitSize int64 // of the map file when it was read
}

// mapping is an executable range of a process's memory.
type mapping struct {
	start, end, offset uint64
	path               string
	file               fileID
}

// fileID tells files apart across mount namespaces.
type fileID struct{ dev, inode, path string }

// named reports whether there is a file behind the mapping.
func (m *mapping) named() bool { return m.path != "" && (m.path[0] == '/' || m.path == "[vdso]") }

// read reads the memory map. That of a process that is gone stays as it was.
func (p *process) read(proc string) {
	p.readAt = time.Now()
	dir := filepath.Join(proc, strconv.Itoa(p.pid))
	text, err := os.ReadFile(dir + "/maps")
	if err != nil || len(text) == 0 {
		return
	}
	start := startTime(dir)
	if p.start != "" && p.start != start { // another process has the number now
		p.maps, p.jit, p.jitSize = nil, nil, 0
	}
	p.start = start
	// What is no longer mapped may still be asked about: a stack is older than
	// the question. It counts where nothing else is mapped now.
	for _, m := range parseMaps(text) {
		p.add(m)
	}
}

// add puts a mapping in its place; it replaces those it overlaps.
func (p *process) add(m mapping) {
	p.maps = slices.DeleteFunc(p.maps, func(o mapping) bool { return o.start < m.end && m.start < o.end })
	i, _ := slices.BinarySearchFunc(p.maps, m, func(a, b mapping) int { return cmp.Compare(a.start, b.start) })
	p.maps = slices.Insert(p.maps, i, m)
}

// startTime is the 22nd field of stat; the command, which may hold anything,
// ends at the last parenthesis.
func startTime(dir string) string {
	text, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return ""
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 20 {
		return ""
	}
	return fields[19]
}

// parseMaps keeps the executable ranges, which are in order of address.
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
		m := mapping{start: start, end: end, offset: off}
		if len(f) == 6 {
			m.path = strings.TrimSuffix(strings.TrimLeft(f[5], " "), " (deleted)")
		}
		m.file = fileID{f[3], f[4], m.path}
		out = append(out, m)
	}
	return out
}

func (p *process) find(addr uint64) *mapping {
	i, ok := slices.BinarySearchFunc(p.maps, addr, func(m mapping, a uint64) int {
		if a < m.start {
			return 1
		}
		if a >= m.end {
			return -1
		}
		return 0
	})
	if !ok {
		return nil
	}
	return &p.maps[i]
}

// jitFunc is a function that a runtime compiled and told perf about.
type jitFunc struct {
	start, size uint64
	name        string
}

// jitted looks an address up in the process's perf map file, which grows while
// it runs.
func (p *process) jitted(proc string, addr uint64) (Frame, bool) {
	dir := filepath.Join(proc, strconv.Itoa(p.pid))
	for _, name := range []string{
		dir + "/root/tmp/perf-" + innerPID(dir, p.pid) + ".map",
		"/tmp/perf-" + strconv.Itoa(p.pid) + ".map",
	} {
		st, err := os.Stat(name)
		if err != nil {
			continue
		}
		if st.Size() != p.jitSize {
			if text, err := os.ReadFile(name); err == nil {
				p.jit, p.jitSize = parsePerfMap(text), int64(len(text))
			}
		}
		break
	}
	i, ok := slices.BinarySearchFunc(p.jit, addr, func(f jitFunc, a uint64) int {
		if a < f.start {
			return 1
		}
		if a >= f.start+f.size {
			return -1
		}
		return 0
	})
	if !ok {
		return Frame{}, false
	}
	f := p.jit[i]
	return Frame{Name: f.name, Offset: addr - f.start, Module: "[jit]"}, true
}

// innerPID is the process's id in its own pid namespace.
func innerPID(dir string, pid int) string {
	text, _ := os.ReadFile(dir + "/status")
	if _, rest, ok := bytes.Cut(text, []byte("\nNSpid:")); ok {
		line, _, _ := bytes.Cut(rest, []byte("\n"))
		if f := bytes.Fields(line); len(f) > 0 {
			return string(f[len(f)-1])
		}
	}
	return strconv.Itoa(pid)
}

// parsePerfMap reads lines "start size name", numbers in hex. A later function
// at the same place replaces an earlier one.
func parsePerfMap(text []byte) []jitFunc {
	var out []jitFunc
	for line := range bytes.Lines(text) {
		f := strings.SplitN(strings.TrimSpace(string(line)), " ", 3)
		if len(f) < 3 {
			continue
		}
		start, err1 := strconv.ParseUint(strings.TrimPrefix(f[0], "0x"), 16, 64)
		size, err2 := strconv.ParseUint(strings.TrimPrefix(f[1], "0x"), 16, 64)
		if err1 != nil || err2 != nil || size == 0 {
			continue
		}
		out = append(out, jitFunc{start, size, f[2]})
	}
	slices.SortStableFunc(out, func(a, b jitFunc) int { return cmp.Compare(a.start, b.start) })
	kept := out[:0]
	for _, f := range out {
		if n := len(kept); n > 0 && kept[n-1].start == f.start {
			kept[n-1] = f
			continue
		}
		kept = append(kept, f)
	}
	return kept
}
