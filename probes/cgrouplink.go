package probes

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/runtime/object"
)

// cgroupHook parses KIND:PATH:HOOK or KIND:HOOK. Without a path, the target is empty: the
// root cgroup, which is found when the program is attached.
func cgroupHook(k *Kind, parts []string) (*Point, error) {
	if err := argCount(k, parts, 1, 2); err != nil {
		return nil, err
	}
	p := &Point{Kind: k, Mode: parts[len(parts)-1], Name: strings.Join(append([]string{k.Name}, parts[1:]...), ":")}
	if len(parts) == 3 {
		p.Target = parts[1]
	}
	return p, nil
}

// expandCgroup is the Expand function of kinds whose Target is a cgroup's directory. A
// point at a cgroup that contains the selected one is attached to that.
func expandCgroup(e *Env, p *Point) ([]*Point, error) {
	if p.Target != "" {
		if st, err := os.Stat(p.Target); err != nil || !st.IsDir() {
			return nil, usage("cgroup %s does not exist", p.Target)
		}
	}
	q := *p
	for _, c := range e.Scope.Cgroups {
		if q.Target == "" || below(c.Dir, q.Target) {
			q.Target = c.Dir
		}
	}
	return []*Point{&q}, nil
}

// below reports whether a directory is another one or below it.
func below(dir, other string) bool {
	rest, found := strings.CutPrefix(dir, strings.TrimRight(other, "/"))
	return found && (rest == "" || rest[0] == '/')
}

// attachCgroup attaches a program to the cgroup of a point.
func attachCgroup(prog *ebpf.Program, p *object.Point, at ebpf.AttachType) (io.Closer, error) {
	dir := p.Target
	if dir == "" {
		if dir = cgroupRoot(); dir == "" {
			return nil, usage("%s: no cgroups of version 2 are mounted: mount -t cgroup2 none /sys/fs/cgroup", p.Name)
		}
	}
	l, err := link.AttachCgroup(link.CgroupOptions{Path: dir, Attach: at, Program: prog})
	if err == nil {
		return l, nil
	}
	notOne := fmt.Sprintf("%s is not a cgroup of version 2", dir)
	return nil, attachError(p, err, capsNet, map[error]string{unix.EBADF: notOne, unix.EINVAL: notOne})
}

// cgroupRoot returns the mount point of the cgroups of version 2, or "".
func cgroupRoot() string {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		before, after, _ := strings.Cut(line, " - ")
		if f := strings.Fields(before); len(f) > 4 && strings.HasPrefix(after, "cgroup2 ") {
			return f[4]
		}
	}
	return ""
}
