package falco

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/lang/policy/falco"
)

// The functions below read /proc when a condition is evaluated.

func (e *Event) procDir() string {
	return filepath.Join("/proc", strconv.FormatInt(e.int(falco.PID), 10))
}

// openFDs returns the descriptors that the process has open at this moment.
func (e *Event) openFDs() []string {
	d, err := os.Open(e.procDir() + "/fd")
	if err != nil {
		return nil
	}
	defer d.Close()
	names, _ := d.Readdirnames(-1)
	return names
}

// openFD returns the type or the name of a descriptor that the process has now.
func (e *Event) openFD(n int, kind bool) datum {
	file := e.procDir() + "/fd/" + strconv.Itoa(n)
	name, err := os.Readlink(file)
	if err != nil {
		return datum{}
	}
	if !kind {
		return text(name)
	}
	return text(kindOf(file, name))
}

// kindOf returns the type of an open descriptor by its link in /proc.
func kindOf(file, name string) string {
	switch {
	case strings.HasPrefix(name, "socket:"):
		return socketKind(name)
	case strings.HasPrefix(name, "pipe:"):
		return "pipe"
	case strings.HasPrefix(name, "anon_inode:"):
		kind, _ := anonymous(name)
		return kind
	case strings.HasPrefix(name, "/memfd:"):
		return "memfd"
	}
	if st, err := os.Stat(file); err == nil && st.IsDir() {
		return "directory"
	}
	return "file"
}

// openTypes returns the types of the descriptors that the process has now, or of one.
func (e *Event) openTypes(t *falco.Term) datum {
	if t.HasArg {
		n, err := strconv.Atoi(t.Arg)
		if err != nil {
			return datum{}
		}
		d := e.openFD(n, true)
		if d.kind == missing {
			return d
		}
		return list([]datum{d})
	}
	var out []datum
	seen := map[string]bool{}
	for _, name := range e.openFDs() {
		n, _ := strconv.Atoi(name) // the kernel writes only numbers here
		if d := e.openFD(n, true); d.kind != missing && !seen[d.s] {
			seen[d.s] = true
			out = append(out, d)
		}
	}
	return list(out)
}

// memory returns a line of /proc/PID/status in KiB.
func (e *Event) memory(key string) datum {
	data, err := os.ReadFile(e.procDir() + "/status")
	if err != nil {
		return datum{}
	}
	for _, line := range strings.Split(string(data), "\n") {
		if rest, ok := strings.CutPrefix(line, key); ok {
			if f := strings.Fields(rest); len(f) > 0 {
				n, err := strconv.ParseInt(f[0], 10, 64)
				if err == nil {
					return number(n)
				}
			}
		}
	}
	return datum{}
}

// threadMemory returns a line of /proc/PID/status times scale. The memory belongs to the
// main thread: others have none.
func (e *Event) threadMemory(key string, scale int64) datum {
	if e.int(falco.TID) != e.int(falco.PID) {
		return number(0)
	}
	d := e.memory(key)
	d.n *= scale
	return d
}

// cgroups returns the cgroups of the process as NAME=PATH.
func (e *Event) cgroups() (out []string) {
	data, err := os.ReadFile(e.procDir() + "/cgroup")
	if err != nil {
		return nil
	}
	for _, line := range strings.Split(strings.TrimSpace(string(data)), "\n") {
		f := strings.SplitN(line, ":", 3)
		if len(f) != 3 {
			continue
		}
		for _, name := range strings.Split(f[1], ",") {
			out = append(out, strings.TrimPrefix(name, "name=")+"="+f[2])
		}
	}
	return out
}
