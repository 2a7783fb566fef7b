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

// expandCgroup is the Expand function of kinds whose Target is a cgroup's directory.
func expandCgroup(_ *Env, p *Point) ([]*Point, error) {
	if st, err := os.Stat(p.Target); err != nil || !st.IsDir() {
		return nil, usage("cgroup %s does not exist", p.Target)
	}
	return []*Point{p}, nil
}

// attachCgroup attaches a program to the cgroup of a point.
func attachCgroup(prog *ebpf.Program, p *object.Point, at ebpf.AttachType) (io.Closer, error) {
	l, err := link.AttachCgroup(link.CgroupOptions{Path: p.Target, Attach: at, Program: prog})
	if err == nil {
		return l, nil
	}
	notOne := fmt.Sprintf("%s is not a cgroup of version 2", p.Target)
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
