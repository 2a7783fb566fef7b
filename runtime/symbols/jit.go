package symbols

import (
	"bytes"
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// jitFunc is a function that a language runtime compiled and listed in a perf map
// file.
type jitFunc struct {
	start, size uint64
	name        string
}

// jitted looks an address up in the process's perf map file, which grows while the
// process runs.
func (p *process) jitted(proc string, addr uint64) Frame {
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
		return Frame{Addr: addr}
	}
	f := p.jit[i]
	return Frame{Addr: addr, Name: f.name, Offset: addr - f.start, Module: "[jit]"}
}

// innerPID returns the process's ID in its own pid namespace.
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

// parsePerfMap parses lines of the form "start size name", with numbers in hex. A
// later function replaces an earlier one at the same address.
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
