package runtime

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// names translates IDs of users and cgroups into names and caches them.
type names struct {
	proc    string
	users   map[uint32]string
	cgroups map[cgroupKey]string
	roots   []cgroupRoot
}

type cgroupKey struct {
	id     uint64
	filter string
}

// cgroupRoot is a mounted cgroup hierarchy: its name ("unified" for version 2, the
// controllers for version 1) and its directory.
type cgroupRoot struct{ name, dir string }

// User returns a user's name, or the number if the user has no name.
func (n *names) User(uid uint32) string {
	if n.users == nil {
		n.users = map[uint32]string{}
		if f, err := os.Open("/etc/passwd"); err == nil {
			defer f.Close()
			for sc := bufio.NewScanner(f); sc.Scan(); {
				fields := strings.SplitN(sc.Text(), ":", 4)
				if len(fields) < 4 {
					continue
				}
				id, err := strconv.ParseUint(fields[2], 10, 32)
				if _, seen := n.users[uint32(id)]; err == nil && !seen {
					n.users[uint32(id)] = fields[0]
				}
			}
		}
	}
	if name, ok := n.users[uid]; ok {
		return name
	}
	return strconv.FormatUint(uint64(uid), 10)
}

// Cgroup returns the path of a cgroup within its hierarchy, as "hierarchy:/path",
// for every hierarchy whose name matches filter. The filter may contain wildcards;
// "" matches all.
func (n *names) Cgroup(id uint64, filter string) string {
	key := cgroupKey{id, filter}
	if s, ok := n.cgroups[key]; ok {
		return s
	}
	if n.roots == nil {
		n.roots = cgroupRoots(n.proc)
	}
	var found []string
	for _, r := range n.roots {
		if ok, _ := path.Match(filter, r.name); filter != "" && !ok {
			continue
		}
		if p, ok := cgroupPath(r.dir, id); ok {
			found = append(found, r.name+":"+p)
		}
	}
	if n.cgroups == nil {
		n.cgroups = map[cgroupKey]string{}
	}
	s := strings.Join(found, ",")
	n.cgroups[key] = s
	return s
}

// unified is the name of the version 2 hierarchy.
const unified = "unified"

// cgroupRoots returns the mounted hierarchies without duplicates, version 2 first
// and the others sorted by name.
func cgroupRoots(proc string) []cgroupRoot {
	text, err := os.ReadFile(proc + "/self/mounts")
	if err != nil {
		return nil
	}
	var roots []cgroupRoot
	seen := map[string]bool{}
	for line := range bytes.Lines(text) {
		f := strings.Fields(string(line))
		if len(f) < 4 || f[2] != "cgroup" && f[2] != "cgroup2" {
			continue
		}
		name := unified
		if f[2] == "cgroup" {
			name = filepath.Base(f[1])
		}
		if !seen[name] { // a hierarchy may be mounted in several places
			seen[name] = true
			roots = append(roots, cgroupRoot{name, f[1]})
		}
	}
	slices.SortFunc(roots, func(a, b cgroupRoot) int {
		if (a.name == unified) != (b.name == unified) {
			if a.name == unified {
				return -1
			}
			return 1
		}
		return strings.Compare(a.name, b.name)
	})
	return roots
}

// fileidKernfs is the file handle type with which kernfs finds a node by its ID.
const fileidKernfs = 0xfe

func cgroupPath(root string, id uint64) (string, bool) {
	if p, ok := cgroupByHandle(root, id); ok {
		return p, true
	}
	var found string
	filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return nil
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Ino == id {
			found = p
			return filepath.SkipAll
		}
		return nil
	})
	return below(root, found)
}

func cgroupByHandle(root string, id uint64) (string, bool) {
	dir, err := unix.Open(root, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", false
	}
	defer unix.Close(dir)
	var b [8]byte
	binary.NativeEndian.PutUint64(b[:], id)
	fd, err := unix.OpenByHandleAt(dir, unix.NewFileHandle(fileidKernfs, b[:]), unix.O_PATH|unix.O_CLOEXEC)
	if err != nil {
		return "", false
	}
	defer unix.Close(fd)
	p, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	if err != nil {
		return "", false
	}
	return below(root, p)
}

func below(root, p string) (string, bool) {
	rest, ok := strings.CutPrefix(p, root)
	if !ok || p == "" {
		return "", false
	}
	if rest == "" {
		rest = "/"
	}
	return rest, true
}
